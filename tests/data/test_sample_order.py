from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hific.data.datasets import PositionBatchSampler, augmentation_generator, photo_index

SEEDS = st.integers(0, 2**32 - 1)


@given(seed=SEEDS, length=st.integers(1, 50), pass_number=st.integers(0, 2**40))
def test_every_pass_shows_every_photo_once(seed: int, length: int, pass_number: int) -> None:
    first = pass_number * length
    assert sorted(photo_index(seed, first + place, length) for place in range(length)) == list(range(length))


def test_passes_and_seeds_have_different_orders() -> None:
    orders = {
        tuple(photo_index(seed, pass_number * 40 + place, 40) for place in range(40))
        for seed in range(5)
        for pass_number in range(5)
    }
    assert len(orders) == 25


def test_augmentations_differ_between_positions_and_repeat_at_one() -> None:
    draws = [augmentation_generator(seed, position).random() for seed in range(10) for position in range(100)]
    assert len(set(draws)) == 1000
    assert augmentation_generator(3, 7).random() == draws[307]


@given(
    batch_size=st.integers(1, 5),
    num_batches=st.integers(1, 8),
    first=st.integers(0, 2**40),
    world_size=st.integers(1, 4),
)
def test_ranks_share_the_stream_of_one_larger_batch(
    batch_size: int, num_batches: int, first: int, world_size: int
) -> None:
    ranks = [
        list(PositionBatchSampler(batch_size, num_batches, lambda: first, rank=rank, world_size=world_size))
        for rank in range(world_size)
    ]
    together = [[position for share in shares for position in share] for shares in zip(*ranks, strict=True)]
    assert together == list(PositionBatchSampler(batch_size * world_size, num_batches, lambda: first))


@given(st.integers(0, 30), st.integers(1, 30))
def test_a_stream_entered_later_is_the_rest_of_the_stream(skipped: int, more: int) -> None:
    whole = list(PositionBatchSampler(3, skipped + more, lambda: 0))
    assert list(PositionBatchSampler(3, more, lambda: skipped)) == whole[skipped:]


def test_the_count_of_batches_is_asked_at_each_epoch() -> None:
    done = [0]
    sampler = PositionBatchSampler(2, 3, lambda: done[0])
    epochs = []
    for _ in range(3):
        epochs += list(sampler)
        done[0] += len(sampler)
    assert [position for batch in epochs for position in batch] == list(range(18))


@given(
    batch_size=st.integers(1, 4),
    world_size=st.integers(1, 3),
    double_from=st.integers(0, 6),
    first=st.integers(0, 8),
)
def test_doubled_batches_go_on_in_the_same_stream(
    batch_size: int, world_size: int, double_from: int, first: int
) -> None:
    def stream(first: int, num_batches: int) -> list[list[int]]:
        ranks = [
            PositionBatchSampler(
                batch_size, num_batches, lambda: first, rank=rank, world_size=world_size, double_from=double_from
            )
            for rank in range(world_size)
        ]
        return [[position for share in shares for position in share] for shares in zip(*ranks, strict=True)]

    whole = stream(0, 12)
    positions = [position for batch in whole for position in batch]
    assert positions == list(range(len(positions)))
    sizes = [batch_size * world_size * (2 if batch >= double_from else 1) for batch in range(12)]
    assert [len(batch) for batch in whole] == sizes
    assert stream(first, 12 - first) == whole[first:]
