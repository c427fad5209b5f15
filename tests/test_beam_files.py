# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""DeepBeam's HDF5 files: their layout, what is read of them, and what is refused."""

import h5py
import numpy as np
import pytest
from radiofm_ml.data.beam_files import (
    BeamFile,
    BeamFileError,
    BeamFileName,
    frame_split,
    load_blocks,
    parse_name,
    published_split,
    write,
)

LENGTH = 64
GAINS, BEAMS, ANGLES = [40, 50, 60], [0, 1, 2, 3], [-45.0, 0.0, 45.0]


def samples(*shape: int) -> np.ndarray:
    """Complex samples that say where they belong and survive float16: small integers, all frames differ."""
    values = np.random.default_rng(0).integers(-1000, 1000, (*shape, 2)).astype(np.float32)
    return values.view(np.complex64)[..., 0]


def make(path, iq, angles=None, gains=GAINS, **settings):
    """iq: (gains, beams, [angles,] frames, blocks, LENGTH), given to the writer in uneven pieces."""
    flat = iq.reshape(-1)
    pieces = np.split(flat, np.cumsum([7, 1000, 64]))
    return write(path, pieces, gains, BEAMS, angles, iq.shape[-3], iq.shape[-2], LENGTH, **settings)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_the_layout_is_the_published_one(tmp_path, dtype):
    iq = samples(3, 4, 3, 5, 2, LENGTH)
    path = make(tmp_path / "x.h5", iq, ANGLES, dtype=dtype, rx_beam=9, attributes={"simulator": "beams 1"})
    with h5py.File(path) as file:
        assert set(file) == {"iq", "tx_beam", "rx_beam", "gain", "angle"}
        assert file["iq"].dtype == dtype and file["iq"].shape == (iq.size, 2)
        np.testing.assert_array_equal(file["iq"][:, 0], iq.real.ravel())
        np.testing.assert_array_equal(file["iq"][:, 1], iq.imag.ravel())
        shape = iq.shape
        for key, values, axis in (("gain", GAINS, 0), ("tx_beam", BEAMS, 1), ("angle", ANGLES, 2)):
            wanted = np.broadcast_to(np.expand_dims(values, [a for a in range(6) if a != axis]), shape)
            np.testing.assert_array_equal(file[key][:], wanted.ravel())
        assert (file["rx_beam"][:] == 9).all() and len(file["rx_beam"]) == iq.size
    assert [p.name for p in tmp_path.iterdir()] == ["x.h5"]
    with BeamFile(path) as file:
        assert (file.gains, file.beams, file.angles) == ((40, 50, 60), (0, 1, 2, 3), (-45, 0, 45))
        assert (file.frames, file.blocks_per_frame, file.block_length) == (5, 2, LENGTH)
        assert file.attributes["simulator"] == "beams 1" and file.name is None
        for frames in (slice(None), [4, 0, 1, 3], 2, [], np.array([1, 1])):
            for blocks in (1, 2):
                got = file.read(2, 1, frames, angle_i=2, blocks=blocks)
                wanted = iq[2, 1, 2, np.atleast_1d(np.array(frames, int))
                            if not isinstance(frames, slice) else frames, :blocks]
                assert got.dtype == np.complex64
                np.testing.assert_array_equal(got, wanted)


def test_reading_in_several_slabs_is_the_same(tmp_path, monkeypatch):
    iq = samples(3, 4, 9, 3, LENGTH)
    path = make(tmp_path / "x.h5", iq)
    monkeypatch.setattr("radiofm_ml.data.beam_files._SLAB", 4 * 2 * LENGTH * 4)
    with BeamFile(path) as file:
        assert file.angles == ()
        np.testing.assert_array_equal(file.read(1, 3, slice(None), blocks=2), iq[1, 3, :, :2])
        np.testing.assert_array_equal(file.read(1, 3, slice(8, None, -1), blocks=3), iq[1, 3, ::-1])


def test_string_gains_as_in_the_pi_radio_file(tmp_path):
    gains = ["att-tx-0-0-", "att-tx-5-0-", "att-tx-5-4-"]
    iq = samples(3, 4, 2, 5, LENGTH)
    path = make(tmp_path / "x.h5", iq, gains=gains)
    with BeamFile(path) as file:
        assert file.gains == tuple(gains)
    with h5py.File(path, "a") as file:  # strings of variable length, without our attributes
        labels = file["gain"][:].astype(object)
        del file["gain"], file.attrs["blocks_per_frame"]
        file.create_dataset("gain", data=labels, dtype=h5py.string_dtype())
    path = path.rename(tmp_path / "mrf-basic-config-5-beams.h5")
    with pytest.raises(BeamFileError, match="4 beams, its name says 5"):
        BeamFile(path)
    path = path.rename(tmp_path / "mrf-basic-config-4-beams.h5")
    with BeamFile(path) as file:
        assert file.gains == tuple(gains)
        assert (file.frames, file.blocks_per_frame) == (2, 5)


@pytest.mark.parametrize(("name", "wanted"), [
    ("srf-basic-config-24-beams-tx-ant-0-rx-ant-1.h5", ("srf", "basic", 24, False, 0, 1)),
    ("srf-basic-config-12-beams-tx-ant-1-rx-ant-0.h5", ("srf", "basic", 12, False, 1, 0)),
    ("srf-diagonal-config-24-beams-aoa-tx-ant-0-rx-ant-1.h5", ("srf", "diagonal", 24, True, 0, 1)),
    ("srf-obstacle-config-12-beams-tx-ant-3-rx-ant-1.h5", ("srf", "obstacle", 12, False, 3, 1)),
    ("mrf-basic-config-5-beams.h5", ("mrf", "basic", 5, False, None, None))])
def test_published_names(name, wanted):
    assert parse_name("/data/" + name) == BeamFileName(*wanted)
    assert parse_name("/data/my-" + name) is None


# -- a file of the published size --------------------------------------------------------------------------
FRAMES, BLOCKS, BLOCK = 10_000, 15, 2048
RUN = FRAMES * BLOCKS * BLOCK


@pytest.fixture(scope="module")
def published_size(tmp_path_factory):
    """22,118,400,000 samples, as in the 24-beam files, of which HDF5 stores only the one block that is not
    zero; labels are virtual data sets over constants."""
    path = tmp_path_factory.mktemp("big") / "srf-basic-config-24-beams-tx-ant-0-rx-ant-1.h5"
    total = 3 * 24 * RUN
    with h5py.File(path, "w") as file:
        iq = file.create_dataset("iq", (total, 2), "f8", chunks=(BLOCK, 2))
        row = (2 * 24 + 17) * RUN + 9_999 * BLOCKS * BLOCK
        iq[row:row + BLOCK] = np.arange(2 * BLOCK).reshape(BLOCK, 2)
        constants = {value: file.create_dataset(f"constants/{value}", (RUN,), "i4", chunks=(1 << 20,),
                                                fillvalue=value) for value in [*range(24), 40, 50, 60]}
        for key, value_of in (("gain", lambda i: 40 + 10 * (i // 24)), ("tx_beam", lambda i: i % 24),
                              ("rx_beam", lambda i: 0)):
            layout = h5py.VirtualLayout((total,), "i4")
            for i in range(72):
                layout[i * RUN:(i + 1) * RUN] = h5py.VirtualSource(constants[value_of(i)])
            file.create_virtual_dataset(key, layout)
    return path


def test_a_file_of_the_published_size_is_indexed_by_a_few_labels(published_size, monkeypatch):
    rows = []
    plain = h5py.Dataset.__getitem__

    def counted(self, args, **settings):
        values = plain(self, args, **settings)
        rows.append((self.name, len(values)))
        return values

    monkeypatch.setattr(h5py.Dataset, "__getitem__", counted)
    with BeamFile(published_size) as file:
        assert (file.gains, file.beams, file.angles) == ((40, 50, 60), tuple(range(24)), ())
        assert (file.frames, file.blocks_per_frame, file.block_length) == (FRAMES, BLOCKS, BLOCK)
        assert file.name.tx_antenna == 0
        labels = sum(n for name, n in rows)
        assert {name for name, n in rows} == {"/gain", "/tx_beam"}
        assert 200 < labels < 500  # of 66e9
        rows.clear()
        found = file.read(2, 17, [9_999])
        assert rows == [("/iq", BLOCK)]
        np.testing.assert_array_equal(found.view(np.float32).ravel(), np.arange(2 * BLOCK))
        rows.clear()
        assert not file.read(2, 17, [0, 1, 2, 5_000], blocks=2).any()
        assert rows == [("/iq", 2 * BLOCK)] * 4
        with pytest.raises(BeamFileError, match="8.2 GiB of I/Q, the limit is 4.0"):
            load_blocks(file, np.arange(7_500))


# -- what is refused ---------------------------------------------------------------------------------------
def broken(path, change):
    make(path, samples(3, 4, 4, 2, LENGTH))
    with h5py.File(path, "a") as file:
        change(file)
    return path


def replace(key, change):
    def change_file(file):
        values = change(file[key][:])
        del file[key]
        if values is not None:
            file[key] = values
    return change_file


def cut(rows):
    def change_file(file):
        for key in file:
            replace(key, lambda v: v[:rows])(file)
    return change_file


TOTAL = 3 * 4 * 4 * 2 * LENGTH


@pytest.mark.parametrize(("change", "message"), [
    (replace("iq", lambda v: None), "no data set 'iq'; it holds gain, rx_beam, tx_beam"),
    (replace("gain", lambda v: None), "no data set 'gain'"),
    (replace("iq", lambda v: v[:, 0]), r"'iq' is float32 \(6144,\), needed are floats \(N, 2\)"),
    (replace("iq", lambda v: v.astype(int)), "needed are floats"),
    (replace("iq", lambda v: v[:-1]), r"'gain' is \(6144,\), needed is \(6143,\).*truncated"),
    (cut(0), "holds no samples"),
    (cut(TOTAL - 1), "'gain' is not in the order.*or the file is truncated; sort it, or fetch it again"),
    (cut(TOTAL // 3 - 1), "'tx_beam' is not in the order"),
    (replace("tx_beam", lambda v: v.reshape(3, 4, -1).swapaxes(0, 1).ravel()), "'tx_beam' is not in the"),
    (replace("tx_beam", lambda v: np.roll(v, 1)), "'tx_beam' is not in the order"),
    (replace("gain", lambda v: np.resize([40, 50, 60], len(v))), "'gain' is not in the order"),
    (replace("tx_beam", lambda v: np.where(np.arange(len(v)) == len(v) - 1, 0, v)), "not in the order"),
    (lambda file: file.attrs.__delitem__("blocks_per_frame"), "give blocks_per_frame"),
    (lambda file: file.attrs.__setitem__("blocks_per_frame", 3), "not whole frames of 3 blocks of 64")])
def test_a_file_that_does_not_fit_is_refused_in_one_line(tmp_path, change, message):
    path = broken(tmp_path / "x.h5", change)
    with pytest.raises(BeamFileError, match=message) as error:
        BeamFile(path)
    assert str(error.value).startswith(str(path)) and "\n" not in str(error.value)


def test_truncated_foreign_and_missing_files(tmp_path):
    path = make(tmp_path / "x.h5", samples(3, 4, 4, 2, LENGTH))
    whole = path.read_bytes()
    path.write_bytes(whole[:len(whole) // 2])
    with pytest.raises(BeamFileError, match="x.h5: not a whole HDF5 file .*; fetch or write it again"):
        BeamFile(path)
    path.write_bytes(b"something else")
    with pytest.raises(BeamFileError, match="not a whole HDF5 file"):
        BeamFile(path)
    with pytest.raises(BeamFileError, match="no such file"):
        BeamFile(tmp_path / "none.h5")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_is_refused_where_it_is_read(tmp_path, value):
    iq = samples(3, 4, 4, 2, LENGTH)
    path = broken(tmp_path / "x.h5", lambda file: file["iq"].__setitem__(
        (((1 * 4 + 2) * 4 + 3) * 2 * LENGTH + 5, 1), value))
    with BeamFile(path) as file:
        np.testing.assert_array_equal(file.read(1, 2, [0, 1, 2]), iq[1, 2, :3, :1])
        with pytest.raises(BeamFileError, match="NaN or infinite values at gain 50, beam 2, frame 3; leave"):
            file.read(1, 2, slice(None))


def test_indexes_beyond_the_file(tmp_path):
    path = make(tmp_path / "x.h5", samples(3, 4, 4, 2, LENGTH))
    with BeamFile(path) as file:
        for settings in ((3, 0, 0), (0, 4, 0), (-1, 0, 0), (0, 0, 4), (0, 0, [-1]), (0, 0, 0, 1),
                         (0, 0, 0, 0, 3)):
            with pytest.raises(IndexError, match="x.h5"):
                file.read(*settings)


# -- splits and examples -----------------------------------------------------------------------------------
def test_splits():
    train, test = published_split(10_000)
    np.testing.assert_array_equal(train, np.arange(6_000))
    np.testing.assert_array_equal(test, np.arange(6_000, 10_000))
    for seed in (0, 1):
        train, test = frame_split(101, 0.6, seed)
        assert len(train) == 60 and sorted([*train, *test]) == list(range(101))
        assert (np.diff(train) > 0).all() and not np.array_equal(train, np.arange(60))
    assert not np.array_equal(train, frame_split(101)[0])
    for split in (published_split, frame_split):
        with pytest.raises(ValueError, match="leaves a part empty"):
            split(1)


def test_load_blocks(tmp_path):
    iq = samples(3, 4, 3, 5, 2, LENGTH)
    path = make(tmp_path / "x.h5", iq, ANGLES)
    with BeamFile(path) as file:
        x, beam, gain = load_blocks(file, [3, 1], 2, gains=[2, 0])
        wanted = iq[[2, 0]][:, :, :, [3, 1]]
        np.testing.assert_array_equal(x, wanted.reshape(-1, 2, LENGTH))
        np.testing.assert_array_equal(gain.reshape(2, -1), np.repeat([[2], [0]], 24, 1))
        np.testing.assert_array_equal(beam, np.tile(np.repeat(np.arange(4), 6), 2))
        x, angle, gain = load_blocks(file, slice(0, 2), gains=[1], beams=[3], angles=[0, 2], label="angle")
        np.testing.assert_array_equal(x[:, 0], iq[1, 3, [0, 2], :2, 0].reshape(-1, LENGTH))
        np.testing.assert_array_equal(angle, [0, 0, 2, 2])
        size = 3 * 4 * 3 * LENGTH * 8
        assert len(load_blocks(file, [0], limit=size)[0]) == 36
        with pytest.raises(BeamFileError, match="limit"):
            load_blocks(file, [0], limit=size - 1)
    with BeamFile(make(tmp_path / "y.h5", iq[:, :, 0])) as file:
        with pytest.raises(BeamFileError, match="no data set 'angle'"):
            load_blocks(file, [0], label="angle")


# -- the writer --------------------------------------------------------------------------------------------
def test_the_writer_streams_and_tells_progress(tmp_path):
    iq = samples(1, 4, 4, 2, LENGTH)
    seen, alive = [], []

    def pieces():
        for piece in np.split(iq.reshape(-1), 8):
            alive.append(len(seen))
            assert not (tmp_path / "x.h5").exists()
            yield piece

    write(tmp_path / "x.h5", pieces(), [40], BEAMS, None, 4, 2, LENGTH,
          on_progress=lambda done, total: seen.append((done, total)))
    assert alive == list(range(8))
    assert seen == [((i + 1) * iq.size // 8, iq.size) for i in range(8)]


def test_labels_take_next_to_nothing(tmp_path):
    path = write(tmp_path / "x.h5", [samples(12, 20, 15, 512)], GAINS, BEAMS, None, 20, 15, 512)
    with h5py.File(path) as file:
        stored = {key: file[key].id.get_storage_size() for key in file}
    assert stored["gain"] + stored["tx_beam"] + stored["rx_beam"] < stored["iq"] / 100


@pytest.mark.parametrize(("change", "message"), [
    (lambda x: x[:-1], "ended after 2047 of 2048 samples"),
    (lambda x: np.append(x, 0), "more than the 2048 samples"),
    (lambda x: np.where(np.arange(len(x)) == 9, np.nan, x), "NaN"),
    (lambda x: x * 1e6, "beyond float16")])
def test_the_writer_leaves_nothing_behind_when_it_fails(tmp_path, change, message):
    iq = samples(4, 4, 2, LENGTH).reshape(-1)
    with pytest.raises(ValueError, match=message):
        write(tmp_path / "x.h5", [change(iq)], [40], BEAMS, None, 4, 2, LENGTH, dtype="float16")
    assert not list(tmp_path.iterdir())


def test_the_writer_refuses_what_makes_no_file(tmp_path):
    refused = [(([40, 40], BEAMS, None, 4, 2), "gains must be"), (([40], [], None, 4, 2), "beams must be"),
               (([40], BEAMS, [0, 0], 4, 2), "angles must be"), (([40], BEAMS, None, 0, 2), "at least 1")]
    for settings, message in refused:
        with pytest.raises(ValueError, match=message):
            write(tmp_path / "x.h5", [], *settings)
    with pytest.raises(ValueError, match="float type"):
        write(tmp_path / "x.h5", [], [40], BEAMS, None, 4, 2, dtype="int16")
    with pytest.raises(BeamFileError, match="cannot be written"):
        write(tmp_path / "none" / "x.h5", [], [40], BEAMS, None, 4, 2)
