"""User 2, who searches a table of trained architectures; nothing is trained."""

from ncp_sampler.defaults import BETA as BETA
from ncp_sampler.offline.adapting import adapt as adapt
from ncp_sampler.offline.adapting import choose_adapting as choose_adapting
from ncp_sampler.offline.answers import propagate_answers as propagate_answers
from ncp_sampler.offline.answers import propagate_front as propagate_front
from ncp_sampler.offline.baselines import evolution_search as evolution_search
from ncp_sampler.offline.baselines import local_search as local_search
from ncp_sampler.offline.baselines import net_adapt as net_adapt
from ncp_sampler.offline.baselines import neural_predictor as neural_predictor
from ncp_sampler.offline.baselines import random_search as random_search
from ncp_sampler.offline.caution import CautionChoice as CautionChoice
from ncp_sampler.offline.caution import choose_caution as choose_caution
from ncp_sampler.offline.learning import fit_paper as fit_paper
from ncp_sampler.offline.learning import learn as learn
from ncp_sampler.offline.problem import Found as Found
from ncp_sampler.offline.problem import SearchProblem as SearchProblem
from ncp_sampler.offline.regularized_evolution import Evolution as Evolution
from ncp_sampler.offline.regularized_evolution import (
    regularized_evolution as regularized_evolution,
)
from ncp_sampler.offline.search import default_starts as default_starts
from ncp_sampler.offline.search import propagate_search as propagate_search
from ncp_sampler.records.csv_records import read_csv as read_csv
from ncp_sampler.records.records import Records as Records

__all__ = [
    "BETA",
    "CautionChoice",
    "Evolution",
    "Found",
    "Records",
    "SearchProblem",
    "adapt",
    "choose_adapting",
    "choose_caution",
    "default_starts",
    "evolution_search",
    "fit_paper",
    "learn",
    "local_search",
    "net_adapt",
    "neural_predictor",
    "propagate_answers",
    "propagate_front",
    "propagate_search",
    "random_search",
    "read_csv",
    "regularized_evolution",
]
