# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""WiFi CSI: NTU-Fi HAR's folders of .mat files, and the ESP32 archive."""

import numpy as np
import pytest
from radiofm_ml.tasks import TaskError, csi, load_task
from scipy.io import savemat

PACKETS = 40


def recording(number: int) -> np.ndarray:
    """CSIamp as published: (342, packets), antenna by antenna; every value tells where it belongs."""
    antenna, subcarrier, packet = np.meshgrid(np.arange(3), np.arange(114), np.arange(PACKETS), indexing="ij")
    return (number + 100 * antenna + subcarrier + packet / 100).reshape(342, PACKETS)


def write_ntu_fi(folder, name="{activity}{person}_{take}.mat", persons=4, takes=2):
    number = 0
    for part, members in (("train_amp", range(persons - 1)), ("test_amp", [persons - 1])):
        for activity in ("box", "clean", "fall"):
            (folder / part / activity).mkdir(parents=True)
            for person in members:
                for take in range(takes):
                    number += 1
                    file = name.format(activity=activity, person=person, take=take, number=number)
                    savemat(folder / part / activity / file, {"CSIamp": recording(1000 * number)})
    return folder


def test_ntu_fi_is_split_by_person_and_read_lazily(tmp_path):
    data = load_task("activity-ntu-fi", write_ntu_fi(tmp_path), None, seed=1)
    assert (data.task, data.kind, data.labels) == ("activity", "classification", ("box", "clean", "fall"))
    assert data.inputs.shape == (24, 1, PACKETS // 4, 342) and len(data.inputs) == 24
    assert sorted(set(data.groups)) == ["0", "1", "2", "3"] and data.facts["persons"] == 4
    assert len(set(data.groups[data.splits["test"]])) == 1
    assert np.bincount(data.targets).tolist() == [8, 8, 8]
    # Files are sorted within their folders; the values say that rows are packets and columns subcarriers.
    two = data.inputs[np.array([5, 0])]
    assert two.dtype == np.float32
    first = recording(1000).reshape(3, 114, PACKETS)
    np.testing.assert_allclose(two[1, 0, 3, 2 * 114 + 7], first[2, 7, 12], rtol=1e-6)
    assert two[0].min() >= 6000 and two[1].max() < 2000

    (tmp_path / "train_amp" / "box" / "box0_0.mat").unlink()  # lazily: what is not asked for is not opened
    assert data.inputs[np.array([5])].shape == (1, 1, PACKETS // 4, 342)
    with pytest.raises(TaskError, match=r"box0_0\.mat: not a readable MATLAB file"):
        data.inputs[np.array([0])]


def test_ntu_fi_as_published(tmp_path):
    data = load_task("activity-ntu-fi-published", write_ntu_fi(tmp_path), None)
    train, test = data.splits["train"], data.splits["test"]
    assert {data.inputs.files[i].parts[-3] for i in train} == {"train_amp"} and len(train) == 18
    assert {data.inputs.files[i].parts[-3] for i in test} == {"test_amp"} and len(test) == 6
    assert data.inputs.shape == (24, 3, 224, 224)
    picture = data.inputs[np.array([0])][0]
    # A ramp stays a ramp when resized, so its middle is known.
    middle = recording(1000).reshape(3, 114, PACKETS)[:, 56:58, 19:21].mean((1, 2))
    wanted = ((middle - 2.44) / (54.72 - 2.44) - [0.7396, 0.7722, 0.7758]) / [0.0960, 0.0764, 0.0888]
    np.testing.assert_allclose(picture[:, 111:113, 111:113].mean((1, 2)), wanted, rtol=1e-5)

    sensefi = csi.load_ntu_fi(tmp_path, None, 0, preprocessing="sensefi")
    assert sensefi.inputs.shape == (24, 3, 114, PACKETS // 4)
    wanted = (recording(1000).reshape(3, 114, PACKETS)[..., ::4] - 42.3199) / 4.9802
    np.testing.assert_allclose(sensefi.inputs[np.array([0])][0], wanted, rtol=1e-5)


@pytest.mark.parametrize(("file", "activity", "who"), [
    ("box3_07.mat", "box", "3"), ("fall3-2.mat", "fall", "3"), ("user2_box_5.mat", "box", "user2"),
    ("box12.mat", "box", ""), ("17.mat", "run", ""), ("A_1.mat", "run", "a")])
def test_what_a_file_name_tells_of_the_person(file, activity, who):
    assert csi.person(file, activity) == who


def test_ntu_fi_with_names_that_tell_nobody_is_split_by_file(tmp_path):
    data = load_task("activity-ntu-fi", write_ntu_fi(tmp_path, "{number}.mat"), None)
    assert len(set(data.groups)) == 24 and data.facts["persons"] is None
    assert np.bincount(data.targets[data.splits["test"]]).tolist() == [2, 2, 2]
    assert "tell no person" in data.facts["split"]


def broken(name):
    def spoil(file):
        content = file.read_bytes()
        if name == "truncated":
            file.write_bytes(content[:len(content) // 2])
        elif name == "text":
            file.write_text("not a MATLAB file at all, but long enough to have a header of 128 bytes" * 4)
        elif name == "empty":
            file.write_bytes(b"")
        elif name == "key":
            savemat(file, {"CSIphase": recording(1)})
        elif name == "shape":
            savemat(file, {"CSIamp": np.zeros((340, PACKETS))})
        elif name == "length":
            savemat(file, {"CSIamp": recording(1)[:, :-4]})
        elif name == "nan":
            values = recording(1)
            values[3, 3] = np.nan
            savemat(file, {"CSIamp": values})
        elif name == "complex":
            savemat(file, {"CSIamp": recording(1) * 1j})
    return spoil


@pytest.mark.parametrize(("name", "message"), [
    ("truncated", "not a readable MATLAB file"), ("text", "not a readable MATLAB file"),
    ("empty", "not a readable MATLAB file"), ("key", "no array CSIamp, only CSIphase"),
    ("shape", "CSIamp is 340 x 40, needed are 342 x packets"), ("length", "has 36 packets, .* has 40"),
    ("nan", "NaN or infinite"), ("complex", "must hold real numbers")])
def test_ntu_fi_file_that_is_broken_is_named(tmp_path, name, message):
    file = write_ntu_fi(tmp_path) / "train_amp" / "fall" / "fall1_1.mat"
    broken(name)(file)
    with pytest.raises(TaskError, match=rf"fall1_1\.mat: .*{message}") as error:
        data = load_task("activity-ntu-fi", tmp_path, None)
        data.inputs[np.arange(len(data.inputs))]
    assert "\n" not in str(error.value)


def test_ntu_fi_folder_that_is_not_one(tmp_path):
    (tmp_path / "train_amp" / "box").mkdir(parents=True)
    with pytest.raises(TaskError, match=r"train_amp: no <activity>/\*\.mat in it"):
        load_task("activity-ntu-fi", tmp_path, None)


def esp32_archive(seed=0, **changes) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    arrays = {}
    for name, offset in (("D1_e01", 1.0), ("D1_e02", 1.0), ("D2_e01", 3.0), ("D3_e01", 9.0)):
        for direction in ("rx_tx", "tx_rx"):
            key = f"{name}_{direction}"
            profile = 1 + offset * np.linspace(0, 1, 56)[:, None]
            arrays[f"{key}-x"] = (profile * rng.uniform(20, 30, (4, 56, 50))).astype(np.float32)
            arrays[f"{key}-y"] = np.array(["WALK", "SIT", "WALK", "SIT"])
    return {key: value for key, value in {**arrays, **changes}.items() if value is not None}


def test_esp32_trains_on_the_first_set_and_tests_on_each_later_one(tmp_path):
    arrays = esp32_archive()
    np.savez(tmp_path / "a.npz", **arrays)
    data = load_task("activity-esp32", tmp_path / "a.npz", None)
    assert data.labels == ("SIT", "WALK") and list(data.splits) == ["train", "test-D2", "test-D3"]
    assert [len(part) for part in data.splits.values()] == [16, 8, 8]
    assert sorted(set(data.groups)) == ["D1_e01", "D1_e02", "D2_e01", "D3_e01"]
    assert data.targets[:4].tolist() == [1, 0, 1, 0]
    # Time runs down, and what does not move is gone: its mean over time, and the packet's over frequency.
    assert data.inputs.shape == (32, 1, 50, 56)
    level = 20 * np.log10(arrays["D1_e01_rx_tx-x"][0]).T
    moving = level - level.mean(0)
    np.testing.assert_allclose(data.inputs[0, 0] * csi.MOVING_DB, moving - moving.mean(1, keepdims=True),
                               atol=1e-4)


def test_esp32_gain_of_a_packet_and_drift_of_a_set_change_nothing(tmp_path):
    arrays = esp32_archive()
    np.savez(tmp_path / "a.npz", **arrays)
    gain = np.linspace(1, 4, 50, dtype=np.float32)
    tilt = np.linspace(1, 3, 56, dtype=np.float32)[:, None]
    later = {key: value * gain * tilt for key, value in arrays.items() if key[:2] == "D3" and key[-1] == "x"}
    np.savez(tmp_path / "b.npz", **{**arrays, **later})
    for task in ("activity-esp32", "activity-esp32-centred"):
        one, two = (load_task(task, tmp_path / name, None) for name in ("a.npz", "b.npz"))
        np.testing.assert_allclose(one.inputs, two.inputs, atol=1e-4)
    assert one.inputs.shape == (32, 1, 50, 112)
    standing = one.inputs[one.splits["test-D3"]][..., 56:]
    np.testing.assert_allclose(standing.mean((0, 1, 2)), 0, atol=1e-4)


@pytest.mark.parametrize(("changes", "message"), [
    ({"D2_e01_rx_tx-y": None}, "'D2_e01_rx_tx-x' is float32 .* n labels in 'D2_e01_rx_tx-y'"),
    ({"D2_e01_rx_tx-x": np.ones((4, 56), np.float32)}, r"'D2_e01_rx_tx-x' is float32 \(4, 56\)"),
    ({"D2_e01_rx_tx-x": np.ones((4, 56, 40), np.float32)}, r"windows of \(56, 40\), others of \(56, 50\)"),
    ({"D2_e01_rx_tx-x": np.full((4, 56, 50), np.nan, np.float32)}, "'D2_e01_rx_tx-x' holds NaN"),
    ({key: None for key in esp32_archive() if key[:2] == "D1"}, "needs arrays of D1"),
    ({key: None for key in esp32_archive() if key[:2] != "D1"}, "and of a later set"),
    ({"D1_e01_rx_tx-y": np.array(["WALK", {}, 3, 4], object)}, "not a readable .npz archive")])
def test_esp32_archive_that_does_not_fit_is_named(tmp_path, changes, message):
    np.savez(tmp_path / "bad.npz", **esp32_archive(**changes))
    with pytest.raises(TaskError, match=rf"bad\.npz: .*{message}"):
        load_task("activity-esp32", tmp_path / "bad.npz", None)


@pytest.mark.parametrize("content", [b"", b"nonsense", b"PK\x03\x04 cut", None])
def test_archive_that_is_none_or_cut_is_named(tmp_path, content):
    file = tmp_path / "bad.npz"
    if content is None:
        np.savez(file, **esp32_archive())
        content = file.read_bytes()[:3000]
    file.write_bytes(content)
    for task in ("activity-esp32", "uwb-sight"):
        with pytest.raises(TaskError, match=r"bad\.npz: not a readable \.npz archive \(.+\); fetch it again"):
            load_task(task, file, None)


def test_real_esp32_sets(data_dir):
    data = load_task("activity-esp32", data_dir / "csi" / "esp32_har.npz", None)
    assert [len(part) for part in data.splits.values()] == [505, 104, 102]
    assert len(data.labels) == 10 and data.inputs.shape == (711, 1, 50, 56)
    assert len(set(data.groups[data.splits["train"]])) == 10
    assert 0.8 < data.inputs[data.splits["train"]].std() < 1.2
