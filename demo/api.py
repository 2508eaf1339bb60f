"""What programs may ask for: `/predict`, `/predict_batch` and `/models`, through `gradio_client` or plain HTTP."""

from dataclasses import asdict, dataclass
from typing import Any

import gradio as gr

from data.errors import InputError
from demo.intake.uploads import Upload, read_upload, upload, uploads
from demo.page import BATCH_QUEUE, ENGINE_QUEUE, Page
from demo.state.shelf import title
from inference.photos.reading import POLICIES, as_record, policy_named, predict_files, predict_picture

MOST_FILES = 64


@dataclass(frozen=True)
class ModelDescription:
    """A model on offer; what its manifest says is None where the file cannot be used, for the reason in `error`."""

    name: str
    title: str
    error: str | None
    model: str | None = None
    framework: str | None = None
    precision: str | None = None
    parameters: int | None = None
    digest: str | None = None


def build(page: Page) -> None:
    """Add the three endpoints. Their components are on no tab: they only give the endpoints their types."""

    def predict(picture: Upload | None, model: str | None, faces: str | None) -> dict[str, Any]:
        """Return the faces of a picture as `ferox predict --json` does, for one picture.

        Parameters:
            picture: an uploaded picture file, at most 10 MB and 25 megapixels
            model: a name from /models; the first one when empty
            faces: "auto" finds faces, "whole" takes the whole picture as one
        Returns:
            file, notes, error (null), and faces: each with box, label and probabilities, the largest first
        """
        try:
            if picture is None:
                raise InputError("no picture was given: expected an uploaded file; send one")
            engine = page.shelf.engine(_model(page, model))
            read = read_upload(picture)
            return as_record(predict_picture(engine, read, page.finder, policy_named(faces))).to_dict()
        except InputError as error:
            raise refusal(error) from error

    def predict_batch(pictures: list[Upload], model: str | None, faces: str | None) -> list[dict[str, Any]]:
        """Return the faces of up to 64 pictures as `ferox predict --json` does.

        Parameters:
            pictures: uploaded picture files, at most 10 MB and 25 megapixels each
            model: a name from /models; the first one when empty
            faces: "auto" finds faces, "whole" takes each whole picture as one
        Returns:
            one record a picture, in their order; one that cannot be read has its error in its own record
        """
        try:
            if not 1 <= len(pictures) <= MOST_FILES:
                raise InputError(f"{len(pictures)} pictures were given: expected 1 to {MOST_FILES}; send several times")
            engine = page.shelf.engine(_model(page, model))
            paths = [picture.path for picture in pictures]
            predictions = predict_files(engine, paths, page.finder, policy_named(faces), keep_errors=True)
            named = zip(predictions, pictures, strict=True)
            return [as_record(prediction, picture.name).to_dict() for prediction, picture in named]
        except InputError as error:
            raise refusal(error) from error

    def models() -> list[dict[str, Any]]:
        """Return the models on offer.

        Returns:
            name (as /predict takes it), title, and error: null, or why the file cannot be used; model, framework,
            precision, parameters and digest, null where it cannot
        """
        refused = page.shelf.left_out().items()
        unnamed = [ModelDescription(name, title(name), error=str(error)) for name, error in refused]
        return [asdict(each) for each in (*(_description(page, name) for name in page.shelf.names()), *unnamed)]

    with gr.Row(visible=False):
        picture = gr.File(label="picture")
        pictures = gr.File(label="pictures", file_count="multiple")
        picture.preprocess = upload  # type: ignore[method-assign, assignment]
        pictures.preprocess = uploads  # type: ignore[method-assign, assignment]
        model = gr.Textbox("", label="model")
        faces = gr.Radio(POLICIES, value="auto", label="faces")
        answer = gr.JSON(label="answer")
        ask = gr.Button()
    short: dict[str, Any] = {"outputs": answer, "concurrency_id": ENGINE_QUEUE}
    long: dict[str, Any] = {"outputs": answer, "concurrency_id": BATCH_QUEUE, "concurrency_limit": 1}
    ask.click(predict, [picture, model, faces], api_name="predict", **short)
    ask.click(predict_batch, [pictures, model, faces], api_name="predict_batch", **long)
    ask.click(models, None, api_name="models", **short)


def refusal(error: InputError) -> gr.Error:
    """Return an error that a client is shown, and that leaves no traceback in the server's log."""
    return gr.Error(str(error), print_exception=False)


def _model(page: Page, name: str | None) -> str:
    names = page.shelf.names()
    return name or (names[0] if names else "")


def _description(page: Page, name: str) -> ModelDescription:
    try:
        manifest = page.shelf.engine(name).manifest
    except InputError as error:
        return ModelDescription(name, title(name), error=str(error))
    return ModelDescription(
        name,
        title(name),
        None,
        manifest.model,
        manifest.framework,
        manifest.precision,
        manifest.parameters,
        manifest.digest,
    )
