"""Arrays by content: stored once, checked on arrival, cached on disk, large ones behind a URL."""

from __future__ import annotations

import numpy as np
import pytest

from likewise.shared.errors import DataError
from likewise.shared.names import blob_key
from likewise.shared.store.arrays import encode_array
from likewise.shared.store.blobs import BlobError, BlobStore
from likewise.shared.store.files import BlobCache


def store(desk, **changes):
    options = {"url": None, "redis_limit_bytes": 64 * 2**20, "retention_s": 100, **changes}
    return BlobStore(desk.client, **options)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (5,), (7, 3), (300_001,)])
def test_an_array_comes_back_as_it_was(desk, dtype, shape):
    array = np.random.default_rng(1).normal(size=shape).astype(dtype) * 100
    back = store(desk).get(store(desk).put(array))
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)


def test_storing_again_only_renews_the_time_to_live(desk):
    array = np.arange(400_000.0)
    ref = store(desk).put(array)
    keys = [blob_key(ref.sha256, chunk) for chunk in range(4)]
    assert [desk.client.ttl(key) > 90 for key in keys] == [True] * 4
    desk.client.set(keys[0], b"marked", ex=5)
    assert store(desk).put(array) == ref
    assert desk.client.get(keys[0]) == b"marked"
    assert desk.client.ttl(keys[0]) > 90


@pytest.mark.parametrize("size", [3, 400_000])
def test_a_store_that_keeps_arrays_for_less_shortens_no_life(desk, size):
    array = np.arange(size) + 0.125
    ref = store(desk, retention_s=1_000).put(array)
    assert store(desk, retention_s=10).put(array) == ref
    assert desk.client.ttl(blob_key(ref.sha256, 0)) > 900
    assert store(desk, retention_s=2_000).put(array) == ref
    assert desk.client.ttl(blob_key(ref.sha256, 0)) > 1_900


def test_a_half_stored_array_is_completed(desk):
    array = np.arange(400_001.0)
    ref = store(desk).put(array)
    desk.client.delete(blob_key(ref.sha256, 2))
    with pytest.raises(BlobError, match="gone"):
        store(desk).get(ref)
    store(desk).put(array)
    np.testing.assert_array_equal(store(desk).get(ref), array)


def test_a_flipped_bit_in_redis_is_noticed(desk):
    ref = store(desk).put(np.arange(5.5))
    data = bytearray(desk.client.get(blob_key(ref.sha256, 0)))
    data[3] ^= 1
    desk.client.set(blob_key(ref.sha256, 0), bytes(data))
    with pytest.raises(BlobError, match="damaged"):
        store(desk).get(ref)


def test_the_cache_serves_without_redis_and_a_flipped_bit_in_it_is_fetched_again(desk, tmp_path):
    array = np.arange(6.5)
    ref = store(desk).put(array)
    cached = store(desk, cache_dir=tmp_path)
    cached.get(ref)
    desk.client.delete(blob_key(ref.sha256, 0))
    np.testing.assert_array_equal(cached.get(ref), array)  # from memory
    np.testing.assert_array_equal(store(desk, cache_dir=tmp_path).get(ref), array)  # from disk
    store(desk).put(array)
    file = tmp_path / ref.sha256
    data = bytearray(file.read_bytes())
    data[0] ^= 1
    file.write_bytes(bytes(data))
    np.testing.assert_array_equal(store(desk, cache_dir=tmp_path).get(ref), array)
    assert file.read_bytes() == encode_array(array)[1]


def test_a_cache_that_cannot_be_written_is_only_switched_off(desk, tmp_path):
    (tmp_path / "file").write_text("in the way")
    ref = store(desk).put(np.arange(3.25))
    np.testing.assert_array_equal(store(desk, cache_dir=tmp_path / "file").get(ref), np.arange(3.25))


def test_the_cache_stays_below_its_limit_and_drops_the_oldest(tmp_path):
    import os

    cache = BlobCache(tmp_path, limit_bytes=250)
    for position, name in enumerate("abc"):
        cache.put(name, [bytes(100)], nbytes=100)
        if (tmp_path / name).exists():
            os.utime(tmp_path / name, (position, position))
    assert cache.get("a") is None
    assert cache.get("b") == cache.get("c") == bytes(100)
    cache.put("too large", [bytes(300)], nbytes=300)
    assert cache.get("too large") is None


def test_a_large_array_goes_behind_the_url(desk, tmp_path):
    array = np.arange(1000.0)
    large = store(desk, url=tmp_path.as_uri(), redis_limit_bytes=100)
    ref = large.put(array)
    assert not desk.client.exists(blob_key(ref.sha256, 0))
    np.testing.assert_array_equal(large.get(ref), array)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [ref.sha256]
    next(path for path in tmp_path.rglob("*") if path.is_file()).write_bytes(bytes(8000))
    with pytest.raises(BlobError, match="damaged"):
        large.get(ref)


@pytest.mark.parametrize(("mode", "below"), [(0o2775, 0o2020), (0o755, 0), (0o1777, 0)])
def test_below_a_folder_of_a_group_all_folders_are_the_groups(desk, tmp_path, mode, below):
    root = tmp_path / "shared"
    root.mkdir()
    root.chmod(mode)
    made = store(desk, url=f"file://{root}/below", redis_limit_bytes=10)
    made.put(np.arange(6.5))
    made.put(np.arange(7.5))
    modes = {path.stat().st_mode & 0o2020 for path in root.rglob("*") if path.is_dir()}
    assert modes == {below}


def test_a_large_array_without_a_url_names_the_setting(desk):
    with pytest.raises(DataError, match="LIKEWISE_BLOB_URL"):
        store(desk, redis_limit_bytes=100).put(np.arange(1000.0))


def test_a_url_that_cannot_be_written_is_named(desk, tmp_path):
    (tmp_path / "file").write_text("in the way")
    url = (tmp_path / "file" / "below").as_uri()
    with pytest.raises(DataError, match="LIKEWISE_BLOB_URL"):
        store(desk, url=url, redis_limit_bytes=100).put(np.arange(1000.0))


def test_a_url_that_nobody_knows_is_told_with_what_it_takes(desk):
    with pytest.raises(
        DataError, match=r"LIKEWISE_BLOB_URL is 'foo://bar': .*foo; it takes a folder, such as"
    ):
        store(desk, url="foo://bar", redis_limit_bytes=100).put(np.arange(1000.0))


def test_small_arrays_of_a_batch_are_stored_together_and_large_ones_at_once(desk):
    batch = store(desk).batch()
    small = [batch.put(np.full(3, float(value))) for value in range(10)]
    large = batch.put(np.arange(5_000.0))
    assert not any(desk.client.exists(blob_key(ref.sha256, 0)) for ref in small)
    np.testing.assert_array_equal(store(desk).get(large), np.arange(5_000.0))
    before = desk.client.info("stats")["total_reads_processed"]
    batch.flush()
    assert desk.client.info("stats")["total_reads_processed"] - before < 5
    for value, ref in enumerate(small):
        np.testing.assert_array_equal(store(desk).get(ref), np.full(3, float(value)))


def test_small_arrays_are_fetched_ahead_in_few_round_trips_and_checked_when_asked_for(desk):
    arrays = [np.full(4, float(value)) for value in range(20)]
    refs = [store(desk).put(array) for array in arrays]
    data = bytearray(desk.client.get(blob_key(refs[0].sha256, 0)))
    data[3] ^= 1
    desk.client.set(blob_key(refs[0].sha256, 0), bytes(data))
    desk.client.delete(blob_key(refs[1].sha256, 0))

    reader = store(desk)
    before = desk.client.info("stats")["total_reads_processed"]
    reader.fetch_ahead(refs)
    for array, ref in zip(arrays[2:], refs[2:], strict=True):
        np.testing.assert_array_equal(reader.get(ref), array)
    assert desk.client.info("stats")["total_reads_processed"] - before < 5
    for ref, problem in zip(refs, ("damaged", "gone"), strict=False):
        with pytest.raises(BlobError, match=problem):
            reader.get(ref)


def test_a_missing_or_wrong_blob_url_is_told_as_that_and_not_as_damaged_data(desk, tmp_path):
    from likewise.shared.store.blobs import UnreachableError

    def store(url: str | None) -> BlobStore:
        return BlobStore(desk.client, url=url, redis_limit_bytes=1, retention_s=60)

    ref = store(f"file://{tmp_path / 'right'}").put(np.arange(9.0))
    with pytest.raises(UnreachableError, match="none is set here"):
        store(None).get(ref)
    with pytest.raises(UnreachableError, match=r"wrong.*nothing is"):
        store(f"file://{tmp_path / 'wrong'}").get(ref)
