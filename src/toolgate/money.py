"""Money is an integer of micro-US-dollars; people write and read US dollars."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal

Micros = int
"""Micro-US-dollars."""

MICROS = 1_000_000
"""In a dollar."""
MEBIBYTE = 1024 * 1024
MOST = 1_000_000 * MICROS
"""More than a call can cost; what another machine says beyond it is no price."""


@dataclass(frozen=True, slots=True)
class Price:
    """What a call costs, as far as that is known before it is made."""

    call: Micros = 0
    """A finished call, whatever it answers."""
    mebibyte: Micros = 0
    """Besides, 1,048,576 bytes of answer."""
    header: str | None = None
    """The header in which the other side says what a call has cost, in US dollars; that counts then and nothing else."""
    most: Micros | None = None
    """Reserved before the call; None: `call`."""
    estimated: bool = False
    """Nothing better is known."""

    @property
    def free(self) -> bool:
        return not (self.call or self.mebibyte or self.header)

    @property
    def reserve(self) -> Micros:
        """What a call may cost."""
        return self.call if self.most is None else self.most

    def of(self, size: int) -> Micros:
        """What a call has cost whose answer has `size` bytes, where the other side does not say."""
        return self.reserve if self.header else self.call + -(-self.mebibyte * size // MEBIBYTE)


FREE = Price()


def micros(dollars: Decimal) -> Micros:
    """Rounded up: what costs something never costs nothing."""
    return int((dollars * MICROS).to_integral_value(ROUND_CEILING))


def told(text: str | None, most: Micros = MOST) -> Micros | None:
    """The amount that somebody wrote, in US dollars, up to `most`; None when they wrote none, or nothing that can be meant."""
    if text is None or "_" in text or not text.isascii():  # `1_0` is 10 to Python, and to nobody who sends an amount
        return None
    try:
        said = Decimal(text).scaleb(6)
    except ArithmeticError:
        return None
    return int(said.to_integral_value(ROUND_CEILING)) if said.is_finite() and 0 <= said <= most else None


def dollars(amount: Micros) -> str:
    """`$0.005`, `$20.00`: at least two decimals, and as many as it needs."""
    if amount < 0:
        return f"-{dollars(-amount)}"
    said = str(amount).zfill(7)
    return f"${said[:-6]}.{said[-6:-4]}{said[-4:].rstrip('0')}"


def shown(amount: Micros) -> dict[str, str | int]:
    """As answers and reports show it to programs: a decimal, and the number that it is."""
    return {"usd": f"{Decimal(amount).scaleb(-6):f}", "micros": amount}
