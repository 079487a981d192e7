"""The paper's studies again, from the public tables: what it prints beside what we find."""

from ncp_sampler.reproduction.report import write_report as write_report

__all__ = ["write_report"]
