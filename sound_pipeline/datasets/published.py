"""Layouts of public data sets below their folders, and where to get them."""

from __future__ import annotations

import os
from dataclasses import dataclass

from sound_pipeline.errors import UserError
from sound_pipeline.system.entries import kind_of
from sound_pipeline.system.filesystem import is_file, list_folder


@dataclass(frozen=True)
class Published:
    """A public data set with a CSV of metadata.

    Attributes:
      title: its name as its authors write it.
      site: where it is published.
      metadata: the CSV, below the folder of the data set.
      audio: the recordings there, as a format of {fold} and {file}.
      file_column: the CSV's column of file names.
      class_id_column: its column of class ids.
      label_column: its column of class names.
      fold_column: its column of fold numbers.
      group_column: its column of source recordings.
      clip_seconds: the natural length of a clip.
    """

    title: str
    site: str
    metadata: str
    audio: str
    file_column: str
    class_id_column: str
    label_column: str
    fold_column: str
    group_column: str
    clip_seconds: float

    @property
    def columns(self) -> tuple[str, ...]:
        """All of the CSV's columns above."""
        named = self.file_column, self.label_column, self.class_id_column
        return (*named, self.fold_column, self.group_column)

    @property
    def obtain(self) -> str:
        """Address of the data set, for error messages."""
        return f"{self.title} is at {self.site}"

    def metadata_path(self, data_dir: str) -> str:
        """CSV of a copy of the data set.

        Raises:
          UserError: there is none; the message names a folder nearby that holds one.
        """
        path = os.path.join(data_dir, self.metadata)
        if is_file(path):
            return path
        parent = os.path.dirname(os.path.abspath(data_dir))
        inside = [entry.path for entry in list_folder(data_dir) if kind_of(entry) == "folder"]
        for folder in (parent, os.path.dirname(parent), *inside):
            if is_file(os.path.join(folder, self.metadata)):
                raise UserError(
                    f"--data_dir={data_dir} holds no {self.metadata}, but {folder} does: "
                    f"use --data_dir={folder}"
                )
        raise UserError(
            f"--data_dir={data_dir} holds no {self.metadata}: "
            f"name the folder that holds it beside audio/ ({self.obtain})"
        )


PUBLISHED = {
    "urbansound8k": Published(
        title="UrbanSound8K",
        site="https://urbansounddataset.weebly.com",
        metadata="metadata/UrbanSound8K.csv",
        audio="audio/fold{fold}/{file}",
        file_column="slice_file_name",
        class_id_column="classID",
        label_column="class",
        fold_column="fold",
        group_column="fsID",
        clip_seconds=4.0,
    ),
    "esc50": Published(
        title="ESC-50",
        site="https://github.com/karolpiczak/ESC-50",
        metadata="meta/esc50.csv",
        audio="audio/{file}",
        file_column="filename",
        class_id_column="target",
        label_column="category",
        fold_column="fold",
        group_column="src_file",
        clip_seconds=5.0,
    ),
}
"""By the value of `--dataset`."""
