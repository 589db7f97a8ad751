"""A grid world at one moment, as data to draw."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Item:
    """What fills a cell, or is carried.

    Attributes:
        type: Its type, such as ``"wall"``, ``"door"`` or ``"ball"``.
        colour: Its colour, by name.
        state: Of a door ``"open"``, ``"closed"`` or ``"locked"``, of anything else nothing.
    """

    type: str
    colour: str
    state: str = ""

    def __str__(self) -> str:
        return " ".join(filter(None, (self.type, self.colour, self.state)))

    @classmethod
    def parse(cls, text: str) -> "Item":
        """Returns the item whose ``str`` is ``text``."""
        return cls(*text.split(" "))


@dataclass(frozen=True, slots=True)
class Scene:
    """A grid world at one moment. Neither teacher nor student sees it: it is for people.

    Attributes:
        width: Cells in a row.
        height: Rows.
        cells: What is in each cell, row by row, None where nothing is; cell (x, y) has number y · width + x.
        agent: Column and row of the agent, from 0.
        direction: Where it looks: 0 right, 1 down, 2 left, 3 up.
        seen: Numbers of the cells in its view, in increasing order.
        carried: What it carries.
    """

    width: int
    height: int
    cells: tuple[Item | None, ...]
    agent: tuple[int, int]
    direction: int
    seen: tuple[int, ...]
    carried: Item | None
