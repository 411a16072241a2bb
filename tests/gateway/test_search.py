from __future__ import annotations

import anyio

from toolgate.catalog import Catalog
from toolgate.gateway.search import Search
from toolgate.testing import a_tool


async def test_what_is_served_now_is_found_and_what_was_served_before_is_not() -> None:
    catalog = Catalog([a_tool(name="shop_list_items")])
    search = Search(lambda: catalog)
    before = await search("items", among={"shop_list_items", "shop_find_items"}, limit=3)

    catalog = Catalog([a_tool(name="shop_find_items")])
    after = await search("items", among={"shop_list_items", "shop_find_items"}, limit=3)

    assert (before, after) == (["shop_list_items"], ["shop_find_items"])


async def test_searches_at_the_same_time_make_one_index() -> None:
    asked = 0

    class Counted(Catalog):
        def __iter__(self):  # type: ignore[no-untyped-def]
            nonlocal asked
            asked += 1
            return super().__iter__()

    catalog = Counted([a_tool(name="shop_list_items")])
    search = Search(lambda: catalog)

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(lambda: search("items", among={"shop_list_items"}, limit=1))

    assert asked == 1
