"""Figures that the paper prints (Ding et al., ICLR 2022).

Settings have the folder names of their tables: "cls-50-1000" is Cls or Cls-A in the paper.
"""

from __future__ import annotations

from benchmarks.reproduction.results import BASIC, Method

# Table 6: mean absolute error of the predictor on the validation rows, in percent, at the epoch
# that was best on those rows (read from the published code)
PREDICTION_L1 = {
    "cls-50-1000": 0.56,
    "cls-50-100": 1.07,
    "cls-10-1000": 0.83,
    "cls-10c": 1.05,
    "seg": 0.75,
    "seg-4x": 0.88,
    "3ddet": 0.85,
    "video": 1.07,
    "video-p": 1.26,
}

# Figure 4: Spearman correlations that the text names
SPEARMAN = {
    ("seg", "cls-50-1000"): 0.639,
    ("seg", "video"): -0.003,
    ("seg", "3ddet"): 0.409,
    ("cls-50-1000", "cls-50-100"): 0.300,
    ("cls-50-100", "cls-10c"): 0.818,
}

# Table 2: method, lambda (0.5 unless specified) -> params (M), FLOPs (G, 512x1024), mIoU (%) of
# trained networks
SEGMENTATION = {
    (Method.NCP, 0.7): (6.04, 20.07, 76.98),
    (Method.NCP, 0.3): (8.39, 36.25, 78.36),
    (Method.NCP, 0.1): (37.70, 179.98, 80.05),
    (Method.WINNER_TAKES_ALL, 0.3): (7.18, 32.88, 77.91),
    (Method.NET_ADAPT, 0.5): (10.83, 42.49, 78.02),
    (Method.RANDOM_SEARCH, 0.5): (16.27, 130.50, 77.66),
    (Method.NEURAL_PREDICTOR, 0.5): (33.49, 182.60, 78.89),
}

# Table 3: settings searched for -> params (M), FLOPs (G, segmentation at 128x128), then the main
# metric (%) on each setting of `BASIC`. No row joins three tasks
JOINT: dict[tuple[str, ...], tuple[float, ...]] = {
    ("cls-50-1000",): (5.35, 2.05, 85.56, 75.65, 25.53, 73.60),
    ("seg",): (7.91, 0.90, 82.52, 77.15, 14.68, 69.99),
    ("video",): (2.56, 0.74, 81.88, 71.09, 28.47, 68.60),
    ("3ddet",): (2.89, 1.21, 82.60, 69.43, 19.84, 75.44),
    ("cls-50-1000", "seg"): (8.29, 1.70, 86.05, 77.16, 22.95, 74.39),
    ("cls-50-1000", "video"): (4.32, 1.60, 85.64, 72.98, 27.83, 71.05),
    ("cls-50-1000", "3ddet"): (4.46, 1.81, 85.76, 72.18, 23.17, 75.47),
    ("seg", "video"): (4.46, 1.16, 83.84, 75.64, 28.46, 71.24),
    ("seg", "3ddet"): (4.30, 0.91, 83.08, 75.60, 21.01, 75.54),
    ("video", "3ddet"): (2.37, 0.85, 83.27, 70.32, 28.20, 74.83),
    BASIC: (4.40, 1.44, 84.36, 75.49, 25.09, 71.90),
}

# Table 4: from, to -> metric of the source's network on the new task, metric of the edited one,
# FLOPs (G) of the edited one
TRANSFER = {
    ("cls-50-1000", "seg"): (75.42, 78.27, 1.10),
    ("cls-50-1000", "video"): (25.53, 28.65, 0.76),
    ("cls-50-1000", "3ddet"): (73.60, 75.59, 1.30),
    ("seg", "cls-50-1000"): (82.52, 85.84, 1.54),
    ("seg", "video"): (14.68, 28.44, 0.75),
    ("seg", "3ddet"): (69.99, 76.17, 1.21),
    ("video", "cls-50-1000"): (81.88, 86.03, 1.86),
    ("video", "seg"): (71.09, 77.56, 0.95),
    ("video", "3ddet"): (68.60, 75.78, 1.17),
    ("3ddet", "cls-50-1000"): (82.60, 85.63, 1.61),
    ("3ddet", "seg"): (69.43, 77.25, 1.04),
    ("3ddet", "video"): (19.84, 28.12, 0.78),
}

# Table 5 (lambda = 0.7): settings searched for -> params (M), FLOPs (G, 224x224), top-1 (%) on each
SUBSETS: dict[tuple[str, ...], tuple[float, ...]] = {
    ("cls-50-1000",): (4.39, 5.95, 85.80, 56.04, 86.80),
    ("cls-50-100",): (3.33, 3.55, 82.76, 56.40, 85.60),
    ("cls-10-1000",): (4.06, 5.51, 84.60, 55.60, 87.80),
    ("cls-50-1000", "cls-50-100", "cls-10-1000"): (4.28, 6.72, 85.12, 58.12, 88.20),
}

# Table 8: params (M), FLOPs (G, 512x1024), mIoU (%) at 512x1024 and at 128x256
RESOLUTIONS: dict[tuple[str, ...], tuple[float, ...]] = {
    ("seg",): (7.91, 29.34, 77.15, 62.40),
    ("seg-4x",): (2.61, 31.37, 70.91, 65.89),
    ("seg", "seg-4x"): (7.82, 50.90, 77.35, 64.98),
}

# Table 9: params (M), FLOPs (G, 112x112), top-1 (%) from scratch and pretrained
PRETRAINING: dict[tuple[str, ...], tuple[float, ...]] = {
    ("video",): (2.56, 0.69, 28.47, 37.54),
    ("video-p",): (1.72, 1.00, 27.49, 39.14),
    ("video", "video-p"): (2.39, 1.16, 27.14, 40.21),
}

# Table 10: durations on a V100, in the paper's words; its NCP edits one code
SEARCH_TIME = {
    Method.NEURAL_PREDICTOR: "over 1 GPU day (it trains the top 10)",
    Method.NET_ADAPT: "5 min",
    Method.ONE_START: "10 s (70 iterations)",
}

# Appendix C: accuracy (%) and FLOPs (M) after six steps, and the table's best
NAS_BENCH_201 = (46.8, 90.36, 47.33)
