"""Measured codes and metrics, from arrays or CSV files."""

from ncp_sampler.records.csv_records import read_csv as read_csv
from ncp_sampler.records.records import Records as Records

__all__ = ["Records", "read_csv"]
