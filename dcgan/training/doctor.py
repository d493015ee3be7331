"""The training doctor: what goes wrong in the training of a GAN, and which flag helps."""

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
        """The complaints that are new. rows: the tick's history. faces: of fixed noise, uint8 [N, nc, S, S]."""
        found = {}
        d_real, d_fake = (fmean(row[name] for row in rows) if rows else 0.5 for name in ("d_real", "d_fake"))
        self.winning = self.winning + 1 if d_real > WINNING and d_fake < 1 - WINNING else 0
        if self.winning >= PATIENCE:
            found["saturated"] = (
                f"the discriminator has won: for {self.winning} ticks it has told every real from every fake, so the "
                "generator learns nothing from it. --resume with a lower --lr-d, or a new run with --augment "
                "translation,cutout or --r1 1, holds it back"
            )
        variety = faces.float().std(dim=0).mean().item()
        self.most_varied = max(self.most_varied, variety)
        if variety < ALIKE * self.most_varied:
            found["collapsed"] = (
                f"the generator has collapsed: its images differ by {variety:.0f} levels of 255, and did by "
                f"{self.most_varied:.0f}. Use an earlier checkpoint; a new run with a lower --lr, --augment "
                "translation or more photos holds longer"
            )
        worst = max((abs(row[name]) for row in rows for name in ("loss_d", "loss_g")), default=0.0)
        if not worst < EXPLODING:
            found["exploding"] = (
                f"the losses explode (up to {worst:,.0f}): --resume with a lower --lr, or a new run with --r1 1, "
                "is calmer"
            )
        new = [complaint for name, complaint in found.items() if name not in self.known]
        self.known = set(found)
        return new
