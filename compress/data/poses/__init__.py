"""Files of poses, one clip each: what estimators and people write, for training and for
prediction."""

from compress.data.poses.contract import Poses, Wanted, of_recording
from compress.data.poses.table import (
    KINDS,
    frame_files,
    is_clip_folder,
    is_folder_of_frames,
    is_pose_file,
    one_frame,
    own_detection,
    read,
    values_of,
)

__all__ = [
    "KINDS",
    "Poses",
    "Wanted",
    "frame_files",
    "is_clip_folder",
    "is_folder_of_frames",
    "is_pose_file",
    "of_recording",
    "one_frame",
    "own_detection",
    "read",
    "values_of",
]
