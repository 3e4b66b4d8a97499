"""The error of an estimate whose variance has two parts, of users and of training, each measured with its own sureness."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .family import SINGLE, t_quantile


@dataclass(frozen=True)
class Noise:
    """Variances of an estimate with their degrees of freedom."""

    users: float
    users_freedom: float
    training: float
    """Of seeds beyond what users do to each; NaN where it is unknown."""
    training_whole: float
    """Before that was taken off: it is as unsure as this, even where nothing is left."""
    training_freedom: float
    """Of the whole; inf where there is no such noise."""

    @property
    def known(self) -> bool:
        return not math.isnan(self.training)

    @property
    def error(self) -> float:
        """Standard error; inf where the training noise is unknown."""
        return math.sqrt(self.users + self.training) if self.known else math.inf

    @property
    def freedom(self) -> float:
        """Degrees of freedom of the sum of both (Satterthwaite 1946), no fewer than those of the less certain part."""
        doubt = self.users**2 / self.users_freedom + self.training_whole**2 / self.training_freedom
        least = min(self.users_freedom, self.training_freedom)
        return max(least, (self.users + self.training) ** 2 / doubt) if doubt > 0 else math.inf

    def half_width(self, critical: float = SINGLE) -> float:
        """Of an interval that holds as often as +-critical holds a normal variable; inf where the training noise is unknown.

        The wider of two: the standard error times a quantile of t with `freedom`, which is too narrow where a few seeds happen to
        agree; and the root of both variances, each times its own squared quantile (Banerjee 1960), which is too narrow where what
        is taken off for users is most of the variance over seeds.
        """
        if not self.known:
            return math.inf
        together = self.error * t_quantile(critical, self.freedom)
        apart = self.users * t_quantile(critical, self.users_freedom) ** 2
        if self.training > 0:
            apart += self.training * t_quantile(critical, self.training_freedom) ** 2
        return max(together, math.sqrt(apart))
