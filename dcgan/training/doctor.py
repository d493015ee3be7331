"""The training doctor: what goes wrong in a GAN's training, in plain words, and which flag helps."""

from statistics import fmean

from torch import Tensor

WINNING = 0.98  # D(x) above, and D(G(z)) below 1 minus this, on average over a tick: D has nothing left to learn
PATIENCE = 3  # ticks in a row
ALIKE = 0.25  # of the most variety seen so far: below, the faces have become one face
EXPLODING = 50.0  # a loss beyond this is no longer about the images


class Doctor:
    """Examines each tick of a run."""

    def __init__(self) -> None:
        self.winning = 0
        self.most_varied = 0.0
        self.known: set[str] = set()

    def examine(self, rows: list[dict[str, float]], faces: Tensor) -> list[str]:
        """The complaints new since the last tick. rows: its history; faces: of fixed noise, uint8 [N, nc, S, S].

        A complaint is made when it begins, not at every tick that it lasts.
        """
        found = {
            "saturated": self._saturated(rows),
            "collapsed": self._collapsed(faces),
            "exploding": self._exploding(rows),
        }
        new = [complaint for name, complaint in found.items() if complaint and name not in self.known]
        self.known = {name for name, complaint in found.items() if complaint}
        return new

    def _saturated(self, rows: list[dict[str, float]]) -> str:
        certain = bool(rows) and (
            fmean(row["d_real"] for row in rows) > WINNING and fmean(row["d_fake"] for row in rows) < 1 - WINNING
        )
        self.winning = self.winning + 1 if certain else 0
        return (self.winning >= PATIENCE) * (
            f"the discriminator has won: for {self.winning} ticks it has told every real from every fake, so the "
            "generator learns nothing from it. --resume with a lower --lr-d, or a new run with --augment "
            "translation,cutout or --r1 1, holds it back"
        )

    def _collapsed(self, faces: Tensor) -> str:
        variety = faces.float().std(dim=0).mean().item()
        self.most_varied = max(self.most_varied, variety)
        return (variety < ALIKE * self.most_varied) * (
            f"the generator has collapsed: its images differ by {variety:.0f} levels of 255, and did by "
            f"{self.most_varied:.0f}. Use an earlier checkpoint; a new run with a lower --lr, --augment translation or "
            "more photos holds longer"
        )

    def _exploding(self, rows: list[dict[str, float]]) -> str:
        worst = max((abs(row[name]) for row in rows for name in ("loss_d", "loss_g")), default=0.0)
        return (not worst < EXPLODING) * (
            f"the losses explode (up to {worst:,.0f}): --resume with a lower --lr, or a new run with --r1 1, is calmer"
        )
