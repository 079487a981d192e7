"""Data sets that need no download: scikit-learn's digits, and generated street scenes."""

from ncp_sampler.training.data.digits import CLIP_CLASSES as CLIP_CLASSES
from ncp_sampler.training.data.digits import DigitClips as DigitClips
from ncp_sampler.training.data.digits import Digits as Digits
from ncp_sampler.training.data.digits import DigitScenes as DigitScenes
from ncp_sampler.training.data.splits import PARTS as PARTS
from ncp_sampler.training.data.streets import StreetScenes as StreetScenes

__all__ = [
    "CLIP_CLASSES",
    "PARTS",
    "DigitClips",
    "DigitScenes",
    "Digits",
    "StreetScenes",
]
