"""Fit pythae's PixelCNN to stored codes, in an environment of its own; started by prior_bits.py.

python prior_bits_pythae.py CODES.npz MEASURE_AFTER LIMIT, both in CPU seconds; prints a line of JSON.

The model has pythae's default sizes, and the optimizer, learning rate and batch size of ours. pythae reads code numbers
as the values of one channel.
"""

import json
import sys
import time

import numpy as np
import torch
from pythae.models.normalizing_flows import PixelCNN, PixelCNNConfig

EMBEDDINGS, BATCH = 128, 128


def main(file: str, measure_after: float, limit: float) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    arrays = np.load(file)
    codes = torch.from_numpy(arrays["codes"].astype("float32"))[:, None]
    train, selection, test = (torch.from_numpy(arrays[name]) for name in ("train", "selection", "test"))
    model = PixelCNN(PixelCNNConfig(input_dim=tuple(codes.shape[1:]), n_embeddings=EMBEDDINGS))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)

    @torch.no_grad()
    def bits(places: torch.Tensor) -> float:
        model.eval()
        total = sum(model({"data": codes[part]})["loss"].item() * len(part) for part in places.split(1000))
        model.train()
        return total / len(places) / float(np.log(2))

    began, at, best, epochs = time.process_time(), None, (float("inf"), 0, 0.0, 0.0), 0
    while time.process_time() - began < limit:
        model.train()
        for part in train[torch.randperm(len(train))].split(BATCH):
            loss = model({"data": codes[part]})["loss"]
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if at is None and time.process_time() - began >= measure_after:
                before = time.process_time()
                at = bits(test)
                began += time.process_time() - before
        epochs += 1
        validated = bits(selection)
        if validated < best[0]:
            before = time.process_time()
            best = (validated, epochs, before - began, bits(test))
            began += time.process_time() - before
    found = {"at_130": at, "best": best[3], "best_epoch": best[1], "best_seconds": best[2], "epochs": epochs}
    found |= {"seconds": time.process_time() - began, "images": epochs * len(train)}
    print(json.dumps(found | {"parameters": sum(p.numel() for p in model.parameters())}))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), float(sys.argv[3]))
