"""What searches and settings are called in the report."""

from __future__ import annotations

from benchmarks.reproduction.rows import Method, Search, Study
from benchmarks.reproduction.studies import FEWER

METHODS = {
    Method.PAPER: "the paper's plain search",
    Method.NCP: "NCP",
    Method.WINNER_TAKES_ALL: "NCP winner takes all",
    Method.ONE_START: "NCP from the start code alone",
    Method.NO_CAUTION: "NCP without caution",
    Method.RANDOM_SEARCH: "random search",
    Method.NEURAL_PREDICTOR: "Neural Predictor",
    Method.NET_ADAPT: "NetAdapt",
    Method.SHORT_NET_ADAPT: "NetAdapt, as many predictions as NCP from one start",
    Method.EVOLUTION: "regularized evolution",
    Method.PROPAGATION: "propagation alone",
    Method.LOCAL_SEARCH: "single steps alone",
}
TASK_LABELS = {"cls-50-1000": "Cls", "seg": "Seg", "video": "Video"}

_JOINED = {
    Study.JOINT: TASK_LABELS,
    Study.SUBSETS: {"cls-50-1000": "A", "cls-50-100": "B", "cls-10-1000": "C"},
    Study.RESOLUTIONS: {"seg": "512x1024", "seg-4x": "128x256"},
    Study.PRETRAINING: {"video": "scratch", "video-p": "pretrained"},
}


def trade_off_label(search: Search) -> str:
    """A row of Table 2 at a lambda of its own."""
    continuous = " continuous" if search.method is Method.NCP else ""
    return f"{METHODS[search.method]}{continuous}, λ = {search.weight}"


def transfer_label(source: str, target: str) -> str:
    """A row of Table 4."""
    return f"{TASK_LABELS[source]} to {TASK_LABELS[target]}"


def joint_label(search: Search) -> str:
    """A row of Tables 3, 5, 8 and 9."""
    text = settings_label(search.study, search.settings)
    if search.within is None:
        return text
    return f"{text}, at most {FEWER:.0%} of the larger one's FLOPs"


def settings_label(study: Study, settings: tuple[str, ...]) -> str:
    """Settings searched for together, as the study's table calls them."""
    names = _JOINED[study]
    if len(settings) == len(names) == 2:
        return "both"
    return " + ".join(names[setting] for setting in settings)
