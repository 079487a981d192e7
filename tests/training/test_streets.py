"""Street scenes: what a lidar could see and what is in them; training on them."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from ncp_sampler import MRSpace
from ncp_sampler.detection3d.boxes import check_boxes
from ncp_sampler.detection3d.loss import Detections
from ncp_sampler.detection3d.point_pillars import PointPillarsNet
from ncp_sampler.detection3d.rotated_boxes import bev_iou
from ncp_sampler.multi_resolution import costs
from ncp_sampler.training import (
    PRESETS,
    TrainingProblem,
    make_detection_problem,
    measure,
    train,
)
from ncp_sampler.training.augmentation import CloudAugmentation
from ncp_sampler.training.data.streets import (
    ANCHORS,
    IOUS,
    PILLAR,
    POINT_RANGE,
    StreetScenes,
)
from ncp_sampler.training.detection import class_precisions, collate_scenes, detection_task

GROUND = -1.73
SMALL = [8 if name[0] in "ioc" else 1 for name in MRSpace().columns]


@pytest.fixture(scope="module")
def scenes() -> StreetScenes:
    return StreetScenes("train", length=30)


def within(points: Tensor, box: Tensor, margin: float) -> Tensor:
    """Which points lie in a box that is wider by a margin on every side."""
    offset = points[:, :3] - box[:3]
    cos, sin = box[6].cos(), box[6].sin()
    x = cos * offset[:, 0] + sin * offset[:, 1]
    y = cos * offset[:, 1] - sin * offset[:, 0]
    own = torch.stack((x, y, offset[:, 2]), 1)
    return (own.abs() <= box[3:6] / 2 + margin).all(1)


def test_scenes_are_scans_with_boxes_on_the_ground(scenes: StreetScenes) -> None:
    low, high = torch.tensor(POINT_RANGE).view(2, 3)
    for points, boxes, labels in scenes.scenes:
        assert 500 < len(points) < 32 * 150
        assert ((points[:, :3] >= low) & (points[:, :3] <= high)).all()
        assert ((points[:, 3] >= 0) & (points[:, 3] <= 1)).all()
        check_boxes(boxes)
        assert len(boxes) == len(labels)
        torch.testing.assert_close(boxes[:, 2] - boxes[:, 5] / 2, torch.full((len(boxes),), GROUND))
        overlap = bev_iou(boxes, boxes).fill_diagonal_(0)
        assert (overlap == 0).all()
        for box in boxes:
            assert within(points, box, 0.1).sum() >= 8


def test_both_classes_occur_with_their_sizes_and_reflectance(scenes: StreetScenes) -> None:
    boxes = torch.cat([boxes for _, boxes, _ in scenes.scenes])
    labels = torch.cat([labels for _, _, labels in scenes.scenes])
    shine: list[list[Tensor]] = [[], []]
    for points, own, kinds in scenes.scenes:
        for box, kind in zip(own, kinds.tolist(), strict=True):
            on_it = within(points, box, 0.1) & (points[:, 2] > GROUND + 0.2)
            shine[kind].append(points[on_it, 3])
    for kind, anchor in enumerate(ANCHORS):
        assert (labels == kind).sum() > 30
        torch.testing.assert_close(
            boxes[labels == kind, 3:6].mean(0), torch.tensor(anchor.size), rtol=0.05, atol=0
        )
    assert torch.cat(shine[0]).mean() > torch.cat(shine[1]).mean() + 0.1


def test_no_point_is_hidden_by_a_nearer_object(scenes: StreetScenes) -> None:
    """The way from the scanner to a point passes through no box."""
    share = torch.linspace(0.05, 0.95, 19)[:, None, None]
    for points, boxes, _ in scenes.scenes[:10]:
        # the low half of a box is solid all over
        for box in boxes:
            solid = box.clone()
            solid[5] = 0.5 * box[5]
            solid[2] = box[2] - 0.25 * box[5]
            for way in share * points[:, :3]:
                assert not within(way, solid, -0.15).any()


def test_front_and_back_differ(scenes: StreetScenes) -> None:
    """The upper part of a car is over its rear, which is what tells its direction."""
    ahead = []
    for points, boxes, labels in scenes.scenes:
        for box in boxes[labels == 0]:
            high = within(points, box, 0.1) & (points[:, 2] > box[2] + 0.2 * box[5])
            heading = torch.stack((box[6].cos(), box[6].sin()))
            ahead.append(((points[high, :2] - box[:2]) @ heading) / box[3])
    assert torch.cat(ahead).max() < 0.2


def test_parts_and_seeds_differ_and_repeat() -> None:
    first, same = (StreetScenes("train", length=2, seed=1)[1] for _ in range(2))
    longer = StreetScenes("train", length=3, seed=1)[1]
    for a, b, c in zip(first, same, longer, strict=True):
        assert torch.equal(a, b)
        assert torch.equal(a, c)
    others = [StreetScenes("val", length=2, seed=1)[1], StreetScenes("train", length=2)[1]]
    assert all(not torch.equal(first[0], frame[0]) for frame in others)


def test_augmentation_keeps_points_on_their_boxes_and_drops_boxes_out_of_range() -> None:
    plain = StreetScenes("train", length=20)
    changed = StreetScenes(
        "train", length=20, transform=CloudAugmentation(rotation=0.6, translation=0.5)
    )
    torch.manual_seed(0)
    changed_scenes = [changed[i] for i in range(20)]
    kept = total = 0
    for (_, before, _), (points, boxes, labels) in zip(plain.scenes, changed_scenes, strict=True):
        total += len(before)
        kept += len(boxes)
        assert len(labels) == len(boxes)
        assert ((boxes[:, 0] >= 0) & (boxes[:, 0] < 16) & (boxes[:, 1].abs() <= 8)).all()
        for box in boxes:
            assert within(points, box, 0.1).sum() >= 8
    assert 0.5 * total < kept < total


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"part": "all"}, "part='all' must be one of"),
        ({"length": 0}, "length=0 must be at least 1"),
        ({"seed": -1}, "seed=-1 must be at least 0"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        StreetScenes(**{"part": "train", "length": 1, **arguments})  # type: ignore[arg-type]


class Oracle(PointPillarsNet):
    """Finds boxes given beforehand, in the order of the samples."""

    def __init__(self, detections: list[Detections]) -> None:
        super().__init__(SMALL, anchors=ANCHORS, point_range=POINT_RANGE, pillar=PILLAR, seed=0)
        self.queue = detections

    def detect(self, points: list[Tensor], **limits: float) -> list[Detections]:  # type: ignore[override]
        return [self.queue.pop(0) for _ in points]


def found_from(scenes: StreetScenes, *, lifted: float, keep: int) -> Oracle:
    """An oracle that knows the boxes of one class alone, and puts them too high."""
    detected = []
    for _, boxes, labels in scenes.scenes:
        own = boxes[labels == keep].clone()
        own[:, 2] += lifted
        detected.append(Detections(own, torch.ones(len(own)), labels[labels == keep]))
    return Oracle(detected)


def test_task_scores_by_mean_average_precision(scenes: StreetScenes) -> None:
    loader = DataLoader(scenes, batch_size=7, collate_fn=collate_scenes)
    cars = found_from(scenes, lifted=0.0, keep=0)
    assert detection_task((0.7, 0.5)).score(cars, loader) == 50
    lifted = found_from(scenes, lifted=1.0, keep=0)
    assert detection_task((0.7, 0.5)).score(lifted, loader) == 0
    lifted = found_from(scenes, lifted=1.0, keep=1)
    assert detection_task((0.7, 0.5), view="bev").score(lifted, loader) == 50
    assert detection_task((0.7, 0.5), view="bev").metric == "APBEV"


@pytest.mark.parametrize(("view", "names"), [("3d", "AP3D APBEV"), ("bev", "APBEV AP3D")])
def test_both_average_precisions_are_measured_at_once(
    scenes: StreetScenes, view: str, names: str
) -> None:
    loader = DataLoader(scenes, batch_size=7, collate_fn=collate_scenes)
    lifted = found_from(scenes, lifted=1.0, keep=0)
    metrics = measure(lifted, loader, task=detection_task((0.7, 0.5), view=view))
    assert metrics == {"AP3D": 0, "APBEV": 50}
    assert list(metrics) == names.split()  # the one of the score first


def test_class_that_does_not_occur_is_left_out(scenes: StreetScenes) -> None:
    points, boxes, labels = scenes[0]
    cars = (points, boxes[labels == 0], labels[labels == 0])
    detections = Detections(cars[1], torch.ones(len(cars[1])), cars[2])
    batches = [collate_scenes([cars])]
    assert len(cars[1]) > 0
    values = class_precisions(Oracle([detections]), batches, ious=(0.7, 0.5))
    assert values[0] == 100
    assert math.isnan(values[1])
    assert detection_task((0.7, 0.5)).score(Oracle([detections]), batches) == 100
    assert detection_task((0.7, 0.5)).score(Oracle([]), []) == 0


def test_task_loss_is_the_networks(scenes: StreetScenes) -> None:
    model = PointPillarsNet(SMALL, anchors=ANCHORS, point_range=POINT_RANGE, pillar=PILLAR, seed=0)
    batch = collate_scenes([scenes[0], scenes[1]])
    loss = detection_task((0.7, 0.5)).loss(model, batch)
    assert loss.item() == pytest.approx(model.loss(*batch).total.item())
    with pytest.raises(ValueError, match="Linear must be a PointPillarsNet"):
        detection_task((0.7, 0.5)).loss(nn.Linear(2, 2), batch)


def streets(**changes: object) -> TrainingProblem:
    recipe = replace(PRESETS["streets"].recipe, epochs=2)
    arguments: dict[str, object] = {
        "train": StreetScenes("train", length=16, transform=recipe.augmentation),
        "val": StreetScenes("val", length=6),
        "test": StreetScenes("test", length=6),
        "anchors": ANCHORS,
        "ious": IOUS,
        "point_range": POINT_RANGE,
        "pillar": PILLAR,
    }
    return make_detection_problem("streets", recipe, **{**arguments, **changes})  # type: ignore[arg-type]


def test_problem_trains_and_counts_what_it_builds() -> None:
    problem = streets()
    model = problem.build(SMALL)
    assert isinstance(model, PointPillarsNet)
    counted = costs.measure(model.trunk, (64, *model.encoder.shape))
    assert problem.gflops(SMALL) == pytest.approx(counted.multiply_adds / 1e9, rel=1e-9)
    trained = train(model, problem.train, problem.val, task=problem.task, recipe=problem.recipe)
    losses = [epoch.loss for epoch in trained.epochs]
    assert losses[1] < losses[0]
    assert 0 <= trained.metric <= 100


def test_problem_needs_an_iou_for_each_anchor() -> None:
    with pytest.raises(ValueError, match=r"ious=\(0.5,\) must be 2"):
        streets(ious=(0.5,))


def test_task_is_refused_before_an_epoch_is_trained_for_it() -> None:
    with pytest.raises(ValueError, match=r"ious=\(0.5, 25\) must each be above 0 and at most 1"):
        streets(ious=(0.5, 25))
    with pytest.raises(ValueError, match="view='top' must be one of"):
        detection_task(IOUS, view="top")
