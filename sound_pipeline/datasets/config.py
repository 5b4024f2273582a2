"""Configuration of a data set: its layout and place."""

from __future__ import annotations

from dataclasses import dataclass, fields

from sound_pipeline.errors import UserError

DATASETS = ("urbansound8k", "esc50", "folder", "csv")
"""The values of `--dataset`."""


@dataclass(frozen=True)
class DatasetConfig:
    """Layout and place of a data set; each field is the flag of the same name.

    Attributes:
      dataset: one of `DATASETS`.
      data_dir: the folder of the data set; for csv, the folder its paths are relative to (by
        default the CSV's own).
      subset: '' for all recordings, or 'esc10' (esc50 only).
      manifest: the CSV file, UTF-8 with a header line (csv only).
      path_column: the CSV's column of file names.
      label_column: the CSV's column of labels.
      fold_column: the CSV's column of fold numbers; the default name need not exist.
      group_column: the CSV's column of source recordings; the default name need not exist, and
        each recording is then a group of its own.
      background_dir: folder of recordings for a class of non-events; '' for none.
      unknown_classes: classes to test and never train on.

    Raises:
      UserError: a value is unknown, or doesn't go with the chosen data set.
    """

    dataset: str
    data_dir: str
    subset: str = ""
    manifest: str = ""
    path_column: str = "path"
    label_column: str = "label"
    fold_column: str = "fold"
    group_column: str = "group"
    background_dir: str = ""
    unknown_classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Checks the values one by one and against the data set."""
        if self.dataset not in DATASETS:
            raise UserError(
                f"--dataset={self.dataset!r} is unknown: use one of {', '.join(DATASETS)}"
            )
        if self.subset not in ("", "esc10"):
            raise UserError(
                f"--subset={self.subset!r} is unknown: use esc10, or leave it out for all clips"
            )
        if self.subset and self.dataset != "esc50":
            raise UserError(
                f"--subset={self.subset} is a part of ESC-50: use it with --dataset=esc50, "
                f"not {self.dataset}"
            )
        if self.dataset == "csv":
            self._check_csv()
        else:
            self._check_other_than_csv()

    def _check_csv(self) -> None:
        if not self.manifest:
            raise UserError(
                "--dataset=csv needs --manifest: name the CSV file that lists the recordings"
            )
        for field in fields(self):
            if field.name.endswith("_column") and not getattr(self, field.name):
                raise UserError(
                    f"--{field.name} is empty: name a column of {self.manifest}, "
                    f"or leave the flag out for {field.default!r}"
                )

    def _check_other_than_csv(self) -> None:
        if not self.data_dir:
            raise UserError(
                f"--data_dir is empty: name the folder of the data set (--dataset={self.dataset})"
            )
        for field in fields(self):
            csv_only = field.name == "manifest" or field.name.endswith("_column")
            if csv_only and getattr(self, field.name) != field.default:
                raise UserError(
                    f"--{field.name} goes with --dataset=csv only: "
                    f"leave it out for --dataset={self.dataset}"
                )
