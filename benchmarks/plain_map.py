"""The contest's score without Resight: onnxruntime, numpy, Pillow and scikit-learn, to check `resight evaluate` by.

Usage: python benchmarks/plain_map.py models/released/NAME CATALOGUE   (a contest-format folder with scenarios/)
"""

import csv
import json
import os
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.metrics import average_precision_score

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # it reports to its maker unless this is set before the import
import onnxruntime as ort

release, catalogue = Path(sys.argv[1]), Path(sys.argv[2])
(space,) = json.loads((release / "manifest.json").read_text())["spaces"]
options = ort.SessionOptions()
options.intra_op_num_threads = 1
nets = [(m, m["preprocessing"], ort.InferenceSession(release / m["file"], options)) for m in space["members"]]


def rows(path):
    with path.open(newline="") as lines:
        return list(csv.DictReader(lines))


def unit(v):
    return v / np.linalg.norm(v, axis=-1, keepdims=True)


def embed(path):
    picture = Image.open(path).convert("RGB")
    parts = []
    for member, shape, net in nets:
        turned = picture.transpose(Image.Transpose.ROTATE_270) if picture.width > picture.height else picture
        pixels = np.asarray(turned.resize((shape["width"], shape["height"]), Image.Resampling.BILINEAR), np.float32)
        chw = ((pixels - np.float32(shape["mean"])) / np.float32(shape["std"])).transpose(2, 0, 1)
        both = net.run(["embedding"], {"images": np.stack([chw, chw[:, :, ::-1]])})[0]
        merged = both.reshape(-1) if shape.get("mirror") == "beside" else both.mean(axis=0)
        parts.append(unit(merged) * member.get("weight", 1.0) ** 0.5)
    return unit(np.concatenate(parts))


vectors = {row["image_id"]: embed(catalogue / row["path"]) for row in rows(catalogue / "metadata.csv")}
truth = defaultdict(set)
for row in rows(catalogue / "scenarios" / "ground_truth.csv"):
    truth[row["query_id"]].add(row["database_image_id"])
pooled = []
for scenario in rows(catalogue / "scenarios" / "query_scenarios.csv"):
    gallery = [row["database_image_id"] for row in rows(catalogue / "scenarios" / scenario["database_path"])]
    block = np.stack([vectors[name] for name in gallery])
    scores = []
    for query in rows(catalogue / "scenarios" / scenario["queries_path"]):
        wanted = truth[query["query_id"]]
        if not wanted:
            continue
        cosine = np.where(
            [name == query["query_image_id"] for name in gallery], -2, block @ vectors[query["query_image_id"]]
        )
        best = np.argsort(-cosine)[: min(20, int((cosine > -2).sum()))]
        right = [gallery[i] in wanted for i in best]
        ap = average_precision_score(right, cosine[best]) if any(right) else 0.0
        scores.append(ap * sum(right) / min(len(wanted), 20))
    pooled += scores
    print(f"{scenario['scenario_id']}  {len(scores):5d} queries  mAP@20 {np.mean(scores):.6f}")
print(f"pooled  {len(pooled):5d} queries  mAP@20 {np.mean(pooled):.9f}")
