"""Exact overlaps of rotated boxes, seen from above (BEV) and in 3D.

Notation
    a, b   p boxes and q boxes, as in ``boxes``
    s, e   start and edge vector of a rectangle's sides, counterclockwise, shape (..., 4, 2)
    t      position along a side, 0 to 1

The area of a region is 1/2 ∮ (x dy - y dx) along its border. Where two convex polygons intersect,
the border consists of the parts of each polygon's sides that lie inside the other polygon. Each
side is clipped by the half-planes of the other polygon (Liang and Barsky 1984), so no vertices need
to be collected or sorted.
"""

from __future__ import annotations

import torch
from torch import Tensor

_TOLERANCE = 1e-9  # Distance in meters below which sides count as coincident


def bev_iou(a: Tensor, b: Tensor) -> Tensor:
    """Return the BEV intersection over union (p, q) of boxes (p, 7) and (q, 7).

    Sizes must be positive. The result is computed in float64 and is not meant to be differentiated.
    """
    shared = _pairwise_intersection(a, b)
    areas = [boxes[:, 3:5].double().prod(1) for boxes in (a, b)]
    return shared / (areas[0][:, None] + areas[1] - shared)


def box_iou(a: Tensor, b: Tensor) -> Tensor:
    """Return the intersection over union (p, q) of the volumes of boxes (p, 7) and (q, 7).

    In all other respects, this function works like ``bev_iou``.
    """
    low, high = (
        [boxes[:, 2].double() + side * boxes[:, 5].double() / 2 for boxes in (a, b)]
        for side in (-1, 1)
    )
    height = torch.minimum(high[0][:, None], high[1]) - torch.maximum(low[0][:, None], low[1])
    shared = _pairwise_intersection(a, b) * height.clamp_min(0)
    volumes = [boxes[:, 3:6].double().prod(1) for boxes in (a, b)]
    return shared / (volumes[0][:, None] + volumes[1] - shared)


def _pairwise_intersection(a: Tensor, b: Tensor) -> Tensor:
    """Return the shared areas (p, q); compute them only for pairs that are close to each other."""
    a, b = (boxes[:, [0, 1, 3, 4, 6]].double() for boxes in (a, b))
    reach = [boxes[:, 2:4].norm(dim=1) / 2 for boxes in (a, b)]
    near = torch.cdist(a[:, :2], b[:, :2]) < reach[0][:, None] + reach[1]
    i, j = near.nonzero(as_tuple=True)
    areas = a.new_zeros(near.shape)
    areas[i, j] = _intersection(a[i], b[j])
    return areas


def _intersection(a: Tensor, b: Tensor) -> Tensor:
    """Return the shared areas (m,) of rectangles (m, 5): x, y, length, width, yaw."""
    origin = a[:, :2]
    sides_a, sides_b = _sides(a, origin), _sides(b, origin)
    area = _border_within(*sides_a, *sides_b, owns_shared=True)
    area = area + _border_within(*sides_b, *sides_a, owns_shared=False)
    smaller = torch.minimum(a[:, 2] * a[:, 3], b[:, 2] * b[:, 3])
    return area.clamp_min(0).minimum(smaller)


def _sides(rectangles: Tensor, origin: Tensor) -> tuple[Tensor, Tensor]:
    half = (
        rectangles[:, None, 2:4] / 2 * rectangles.new_tensor([[1, 1], [-1, 1], [-1, -1], [1, -1]])
    )
    cos, sin = rectangles[:, 4:].cos(), rectangles[:, 4:].sin()
    x = cos * half[..., 0] - sin * half[..., 1]
    y = sin * half[..., 0] + cos * half[..., 1]
    start = torch.stack((x, y), -1) + (rectangles[:, :2] - origin)[:, None]
    return start, start.roll(-1, 1) - start


def _border_within(s: Tensor, e: Tensor, s2: Tensor, e2: Tensor, *, owns_shared: bool) -> Tensor:
    """Return 1/2 ∮ (x dy - y dx) along the parts of sides s, e inside the polygon s2, e2."""
    e2 = e2[:, None]
    length = e2.norm(dim=-1)
    depth = (
        _cross(e2, s[:, :, None] - s2[:, None]) / length
    )  # Depth of the point t = 0 in each half-plane (m, 4, 4)
    slope = _cross(e2, e[:, :, None]) / length
    # A segment shared by two sides counts once. If the polygons only touch, the sides have opposite
    # directions, and the segment does not count.
    along = (e2 * e[:, :, None]).sum(-1) > 0
    slack = torch.where(along & owns_shared, _TOLERANCE, -_TOLERANCE)
    parallel = slope.abs() < 1e-12
    crossing = -(depth + slack) / torch.where(parallel, 1.0, slope)
    outside = parallel & (depth + slack < 0)
    enters = torch.where(~parallel & (slope > 0), crossing, 0.0).amax(-1).clamp_min(0)
    leaves = torch.where(~parallel & (slope < 0), crossing, 1.0).amin(-1).clamp_max(1)
    inside = (leaves - enters).clamp_min(0) * ~outside.any(-1)
    area: Tensor = (inside * _cross(s, e)).sum(-1) / 2
    return area


def _cross(u: Tensor, v: Tensor) -> Tensor:
    return u[..., 0] * v[..., 1] - u[..., 1] * v[..., 0]
