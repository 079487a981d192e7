"""Training of networks: a training loop, recipes, tasks, and data sets that need no download.

This package does not import Optuna or Ray. ``ncp_sampler.command_line.study`` provides studies that
use it.
"""

from ncp_sampler.training.augmentation import IGNORED as IGNORED
from ncp_sampler.training.augmentation import CloudAugmentation as CloudAugmentation
from ncp_sampler.training.augmentation import ImageAugmentation as ImageAugmentation
from ncp_sampler.training.checkpoint import Checkpoint as Checkpoint
from ncp_sampler.training.data.digits import CLIP_CLASSES as CLIP_CLASSES
from ncp_sampler.training.data.digits import DigitClips as DigitClips
from ncp_sampler.training.data.digits import Digits as Digits
from ncp_sampler.training.data.digits import DigitScenes as DigitScenes
from ncp_sampler.training.data.streets import StreetScenes as StreetScenes
from ncp_sampler.training.detection import class_precisions as class_precisions
from ncp_sampler.training.detection import collate_scenes as collate_scenes
from ncp_sampler.training.detection import detection_task as detection_task
from ncp_sampler.training.detection import make_detection_problem as make_detection_problem
from ncp_sampler.training.loop import Trained as Trained
from ncp_sampler.training.loop import evaluate as evaluate
from ncp_sampler.training.loop import measure as measure
from ncp_sampler.training.loop import train as train
from ncp_sampler.training.presets import PRESETS as PRESETS
from ncp_sampler.training.presets import Preset as Preset
from ncp_sampler.training.problem import TrainingProblem as TrainingProblem
from ncp_sampler.training.problem import make_problem as make_problem
from ncp_sampler.training.progress import Epoch as Epoch
from ncp_sampler.training.progress import Progress as Progress
from ncp_sampler.training.recipes import Recipe as Recipe
from ncp_sampler.training.tasks import CLASSIFICATION as CLASSIFICATION
from ncp_sampler.training.tasks import SEGMENTATION as SEGMENTATION
from ncp_sampler.training.tasks import TASK_OF as TASK_OF
from ncp_sampler.training.tasks import VIDEO as VIDEO
from ncp_sampler.training.tasks import Task as Task
from ncp_sampler.training.tensorboard import TensorBoardLog as TensorBoardLog

__all__ = [
    "CLASSIFICATION",
    "CLIP_CLASSES",
    "IGNORED",
    "PRESETS",
    "SEGMENTATION",
    "TASK_OF",
    "VIDEO",
    "Checkpoint",
    "CloudAugmentation",
    "DigitClips",
    "DigitScenes",
    "Digits",
    "Epoch",
    "ImageAugmentation",
    "Preset",
    "Progress",
    "Recipe",
    "StreetScenes",
    "Task",
    "TensorBoardLog",
    "Trained",
    "TrainingProblem",
    "class_precisions",
    "collate_scenes",
    "detection_task",
    "evaluate",
    "make_detection_problem",
    "make_problem",
    "measure",
    "train",
]
