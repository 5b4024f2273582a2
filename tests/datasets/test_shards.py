"""Shares of a list: each element in one, as many in each."""

from __future__ import annotations

import numpy as np
import pytest

from sound_pipeline.datasets.shards import Shard, parse_shard
from sound_pipeline.errors import UserError


@pytest.mark.parametrize(("recordings", "of"), [(0, 3), (2, 3), (10, 1), (1000, 64)])
def test_all_shares_are_all_recordings_once(recordings: int, of: int) -> None:
    shares = [Shard(number, of).positions(recordings) for number in range(1, of + 1)]
    np.testing.assert_array_equal(np.sort(np.concatenate(shares)), np.arange(recordings))
    sizes = [len(share) for share in shares]
    assert max(sizes) - min(sizes) <= 1


def test_a_share_as_flag_and_file() -> None:
    share = parse_shard("3/64")
    assert share == Shard(3, 64)
    assert str(share) == "3/64" and share.name == "00003-of-00064"


@pytest.mark.parametrize("text", ["", "3", "0/4", "5/4", "-1/4", "1/4/2", "a/b", "1/100000", "1/0"])
def test_no_share(text: str) -> None:
    with pytest.raises(UserError, match=rf"^--shard={text}: .*as 3/64$"):
        parse_shard(text)
