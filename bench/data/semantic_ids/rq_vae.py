"""RQ-VAE: an autoencoder whose latent vector is a sum of one vector from each of several codebooks (Lee et al. 2022,
arXiv:2203.01941; semantic ids of items: Rajput et al. 2023, TIGER, arXiv:2305.05065).

Differs from TIGER: smaller layers, Adam instead of Adagrad, an epoch count that suits thousands of items; the autoencoder learns
a while before codebooks start at k-means centres of its residuals; and a code that no item has moves to the residual of an item,
so that codebooks do not collapse. Nothing is appended to tell items with equal codes apart: they share what they are known by.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .kmeans import cluster

HIDDEN, LATENT = 128, 32
STEPS, WARM = 1500, 300
"""Of training, and of these without codebooks."""
BATCH, RATE = 512, 1e-3
COMMITMENT = 0.25
"""Weight of the encoder's pull towards the codebooks, beside the codebooks' towards the encoder."""
REVIVED, SETTLED = 100, 1100
"""Codes that no item has move every so many steps, up to the step from which they are left alone."""


class ResidualAutoencoder(nn.Module):
    """Encoder, codebooks, decoder of vectors [n, inputs]."""

    def __init__(self, inputs: int, levels: int, size: int) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(inputs, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, LATENT))
        self.decoder = nn.Sequential(nn.Linear(LATENT, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, inputs))
        self.codebooks = nn.Parameter(torch.zeros(levels, size, LATENT))

    def codes(self, latent: Tensor) -> tuple[Tensor, Tensor]:
        """[n, LATENT] -> codes int64 [n, levels], and what was left to say at each level [levels, n, LATENT]."""
        residual, found, left = latent, [], []
        for codebook in self.codebooks:
            left.append(residual)
            found.append(torch.cdist(residual, codebook).argmin(1))
            residual = residual - codebook[found[-1]]
        return torch.stack(found, dim=1), torch.stack(left)

    def loss(self, x: Tensor, quantised: bool) -> Tensor:
        """Squared error of what the decoder makes of x, with the pull between encoder and codebooks once they are in use."""
        latent = self.encoder(x)
        if not quantised:
            return F.mse_loss(self.decoder(latent), x)
        with torch.no_grad():
            codes, _ = self.codes(latent)
        chosen = torch.stack([codebook[codes[:, level]] for level, codebook in enumerate(self.codebooks)])
        # Residuals before each level, with gradients to the encoder alone.
        before = latent - (chosen.cumsum(0) - chosen).detach()
        pull = F.mse_loss(chosen, before.detach()) + COMMITMENT * F.mse_loss(before, chosen.detach())
        straight = latent + (chosen.sum(0) - latent).detach()
        return F.mse_loss(self.decoder(straight), x) + len(chosen) * pull

    @torch.no_grad()
    def start(self, x: Tensor) -> None:
        """Codebooks at k-means centres of the residuals."""
        residual = self.encoder(x)
        for level, codebook in enumerate(self.codebooks):
            centres = torch.from_numpy(cluster(residual.double().numpy(), len(codebook), level)).float()
            codebook[: len(centres)] = centres
            # Codes beyond the number of different residuals stand where no vector is.
            codebook[len(centres) :] = 1e6
            residual = residual - codebook[torch.cdist(residual, codebook).argmin(1)]

    @torch.no_grad()
    def revive(self, x: Tensor, generator: torch.Generator) -> None:
        """Move codes that no row has to the residuals of rows."""
        codes, left = self.codes(self.encoder(x))
        for level, codebook in enumerate(self.codebooks):
            unused = torch.bincount(codes[:, level], minlength=len(codebook)) == 0
            unused &= codebook.abs().amax(1) < 1e6
            codebook[unused] = left[level][torch.randint(len(x), (int(unused.sum()),), generator=generator)]


def residual_autoencoder(training: np.ndarray, every: np.ndarray, levels: int, size: int) -> np.ndarray:
    """int32 [n, levels]: see `codes.Quantizer`. Neither the random numbers nor the threads of others are touched."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng([]):
            torch.manual_seed(0)
            scale = float(training.std()) or 1.0
            model = fitted(torch.from_numpy(training / scale), levels, size)
            with torch.inference_mode():
                codes, _ = model.codes(model.encoder(torch.from_numpy(every / scale)))
            return codes.numpy().astype(np.int32)
    finally:
        torch.set_num_threads(threads)


def fitted(x: Tensor, levels: int, size: int) -> ResidualAutoencoder:
    """Trained on the rows x [m, inputs]."""
    model, generator = ResidualAutoencoder(x.shape[1], levels, size), torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(model.parameters(), RATE)
    for step in range(STEPS):
        if step == WARM:
            model.start(x)
        elif step > WARM and step % REVIVED == 0 and step <= SETTLED:
            model.revive(x, generator)
        rows = torch.randint(len(x), (min(BATCH, len(x)),), generator=generator)
        loss = model.loss(x[rows], step >= WARM)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model
