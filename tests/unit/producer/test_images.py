"""Folders of images: each declared step is Pillow's own, and what is no image is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from likewise.producer.job.jobfile import read_experiment
from likewise.producer.job.new_file import NewJob, write_new
from likewise.producer.job.prepare import prepare_experiment
from likewise.shared.errors import UsageError

Image = pytest.importorskip("PIL.Image")
Prepare = Callable[..., Any]
Refusal = Callable[..., str]
LAYERS = {"layers": ["flatten", {"type": "dense", "units": 2}]}


@pytest.fixture
def pictures(tmp_path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """Two classes of two images each, 12 × 20 pixels, no two alike."""
    draw = np.random.default_rng(0)
    held = {}
    for name in ("dog/b.png", "cat/a.png", "cat/c.png", "dog/d.png"):
        path = tmp_path / "pets" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        held[name] = draw.integers(0, 256, (12, 20, 3), np.uint8)
        Image.fromarray(held[name]).save(path)
    return held


def section(**changes: Any) -> dict[str, Any]:
    return {"type": "images", "path": "pets", "size": [12, 20], **changes}


@pytest.fixture
def read(prepare: Prepare) -> Callable[..., Any]:
    def read(**changes: Any) -> Any:
        job = {"data": section(**changes), "loss": "categorical_crossentropy", "model": LAYERS}
        return prepare(**job).runs["torch"].data

    return read


def test_classes_are_folders_and_pixels_are_bytes_as_they_were(read: Any, pictures: Any) -> None:
    data = read()

    assert data.class_names == ("cat", "dog")
    assert data.train.y.tolist() == [0, 0, 1, 1]
    assert (data.train.x.dtype, data.train.y.dtype) == (np.uint8, np.uint8)
    names = ("cat/a.png", "cat/c.png", "dog/b.png", "dog/d.png")
    assert np.array_equal(data.train.x, np.stack([pictures[name] for name in names]))


@pytest.mark.parametrize("rule", ["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"])
def test_an_image_is_resized_by_the_declared_rule_of_pillow(read: Any, pictures: Any, rule: str) -> None:
    first = read(size=[6, 8], resize=rule).train.x[0]
    expected = Image.fromarray(pictures["cat/a.png"]).resize((8, 6), Image.Resampling[rule.upper()])

    assert np.array_equal(first, np.asarray(expected))


def test_an_image_is_cut_in_the_middle_before_it_is_resized(read: Any, pictures: Any) -> None:
    cut = read(size=[12, 12], fit="crop").train.x[0]
    assert np.array_equal(cut, pictures["cat/a.png"][:, 4:16])
    tall = read(size=[12, 6], fit="crop").train.x[0]
    assert np.array_equal(tall, pictures["cat/a.png"][:, 7:13])


def test_channels_come_in_the_declared_order_and_mode(read: Any, pictures: Any) -> None:
    rgb = pictures["cat/a.png"]
    assert np.array_equal(read(channel_order="bgr").train.x[0], rgb[..., ::-1])
    grey = read(mode="L").train.x
    assert grey.shape == (4, 12, 20, 1)
    assert np.array_equal(grey[0, ..., 0], np.asarray(Image.fromarray(rgb).convert("L")))
    with_alpha = read(mode="RGBA", channel_order="bgr").train.x[0]
    assert np.array_equal(with_alpha[..., :3], rgb[..., ::-1])
    assert (with_alpha[..., 3] == 255).all()


def test_an_orientation_counts_where_it_is_declared(read: Any, pictures: Any, tmp_path: Path) -> None:
    turned = Image.Exif()
    turned[0x0112] = 3  # by 180 degrees
    rgb = pictures["cat/a.png"]
    Image.fromarray(rgb).save(tmp_path / "pets" / "cat" / "a.png", exif=turned)

    assert np.array_equal(read().train.x[0], rgb)
    assert np.array_equal(read(exif=True).train.x[0], rgb[::-1, ::-1])


@pytest.mark.usefixtures("pictures")
def test_a_side_may_override_how_images_are_read(prepare: Prepare) -> None:
    runs = prepare(
        data=section(scale=255), loss="categorical_crossentropy", model=LAYERS,
        overrides={"torch": {"data.channel_order": "bgr", "data.scale": 127.5, "data.mean": 127.5}},
    ).runs  # fmt: skip
    one, other = runs["tensorflow"], runs["torch"]

    assert np.array_equal(one.data.train.x, other.data.train.x[..., ::-1])
    assert (one.program.rescale.scale, other.program.rescale.mean) == ((255.0,), (127.5,))


@pytest.mark.usefixtures("pictures")
def test_what_is_no_image_is_told_by_its_name(
    prepare: Prepare, refusal: Refusal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(**changes: Any) -> str:
        return refusal(prepare, data=section(**changes), loss="categorical_crossentropy", model=LAYERS)

    assert refused(path="dogs") == (
        f'data.path "dogs": there is no such folder in {tmp_path} (paths start from the job file\'s folder)'
    )
    (tmp_path / "pets" / "dog" / "notes.txt").write_text("")
    assert refused().startswith("pets/dog: notes.txt: no image by its name (.bmp, .gif,")
    (tmp_path / "pets" / "dog" / "notes.txt").rename(tmp_path / "pets" / "dog" / "e.jpg")
    message = refused()
    assert message.startswith("pets: images that cannot be read: dog/e.jpg: is no image that Pillow can read")
    (tmp_path / "pets" / "dog" / "e.jpg").unlink()
    deep = tmp_path / "pets" / "dog" / "e.png"
    Image.fromarray(np.full((9, 9), 60_000, np.uint16)).save(deep)
    assert "dog/e.png: holds numbers of more than 8 bits" in refused()
    deep.unlink()
    moving = tmp_path / "pets" / "dog" / "e.gif"
    frames = [Image.fromarray(np.full((9, 9), shade, np.uint8)) for shade in (0, 100, 200)]
    frames[0].save(moving, save_all=True, append_images=frames[1:])
    assert "dog/e.gif: holds 3 pictures one after another; save the one that is meant" in refused()
    moving.unlink()
    with_preview = tmp_path / "pets" / "dog" / "e.jpg"
    frames[0].save(with_preview, format="MPO", save_all=True, append_images=frames[1:])
    with monkeypatch.context() as patched:
        patched.setattr(Image, "MAX_IMAGE_PIXELS", 100)
        message = refused()
    assert "cat/a.png: has more pixels than 64,000,000" in message
    assert "dog/e.jpg" not in message
    with_preview.unlink()
    (tmp_path / "pets" / "empty").mkdir()
    assert refused() == "pets/empty: holds no image; take the folder out, or fill it"
    (tmp_path / "one" / "alone").mkdir(parents=True)
    assert refused(path="one").startswith("one: has 1 folder, and images lie in a folder a class")


def test_what_a_mode_leaves_out_of_an_image_is_told(read: Any, pictures: Any, tmp_path: Path) -> None:
    shape = (12, 20, 1)
    for name, opacity in {"cat/a.png": 255, "dog/b.png": 40}.items():
        pixels = np.concatenate([pictures[name], np.full(shape, opacity, np.uint8)], axis=2)
        Image.fromarray(pixels).save(tmp_path / "pets" / name)

    (told,) = read(mode="RGB").notes
    assert told.startswith("pets: 1 image can be seen through in places, of which mode RGB keeps nothing")
    assert read(mode="RGBA").notes == ()


def test_files_beside_the_folders_of_classes_are_told(read: Any, pictures: Any, tmp_path: Path) -> None:
    for name in ("loose.png", ".hidden"):
        (tmp_path / "pets" / name).write_bytes(b"")

    data = read()

    assert data.notes == ("pets: not taken, since it lies in no folder of a class: loose.png",)
    assert len(data.train.x) == len(pictures)


def test_init_writes_a_job_that_fits_the_images(tmp_path: Path) -> None:
    draw = np.random.default_rng(1)
    for number in range(30):
        path = tmp_path / "pets" / ("cow", "cat", "dog")[number % 3] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw.integers(0, 256, (200, 100), np.uint8)).save(path)
    job = tmp_path / "job.yaml"
    write_new(job, NewJob(images=tmp_path / "pets"), force=False)
    run = prepare_experiment(read_experiment(str(job))).runs["torch"]

    assert run.data.train.x.shape == (20, 64, 32, 1)  # the proportions and the grey of the images
    assert run.data.classes == 3
    assert run.job.loss.type == "categorical_crossentropy"
    assert run.program.stages  # it compiles
    assert "30 images of 3 classes" in job.read_text()
    with pytest.raises(UsageError, match="--csv and --images exclude each other; keep one"):
        write_new(tmp_path / "b.yaml", NewJob(images=tmp_path, csv=[tmp_path]), force=False)
