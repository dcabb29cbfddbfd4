"""The cache evicts by weight."""

from smart_demo.search.cache import LRUCache


def test_values_over_the_total_weight_are_evicted():
    kept = LRUCache(9, len, max_weight=5)
    for key, value in enumerate(["aa", "bb", "cc"]):
        kept.put(key, value)
    assert [kept.get(key) for key in range(3)] == [None, "bb", "cc"]
    kept.put(3, "x" * 6)
    assert [kept.get(key) for key in range(4)] == [None] * 4
