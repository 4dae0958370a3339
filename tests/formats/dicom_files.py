"""DICOM files written by pydicom for tests."""

from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

OBLIQUE = [0.8, 0.6, 0.0, 0.0, 0.0, -1.0]
"""Rows and columns of slices whose normal is (-0.6, 0.8, 0)."""
NORMAL = np.cross(OBLIQUE[:3], OBLIQUE[3:])


def dataset(values, **fields):
    """A data set of the pixels ``values``: (rows, columns) or (rows, columns, 3), or more frames of them."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = CTImageStorage
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = generate_uid()
    ds.Modality, ds.SeriesNumber, ds.SeriesInstanceUID = "CT", 3, "1.2.3.4"
    rgb = values.shape[-1] == 3
    ds.Rows, ds.Columns = values.shape[-3:-1] if rgb else values.shape[-2:]
    ds.SamplesPerPixel, ds.PhotometricInterpretation = (3, "RGB") if rgb else (1, "MONOCHROME2")
    if rgb:
        ds.PlanarConfiguration = 0
    frames = values.shape[: values.ndim - (3 if rgb else 2)]
    if frames:
        ds.NumberOfFrames = int(np.prod(frames))
    ds.BitsAllocated = ds.BitsStored = 8 * values.dtype.itemsize
    ds.HighBit = ds.BitsStored - 1
    ds.PixelRepresentation = int(values.dtype.kind == "i")
    pixels = values.tobytes()
    ds.add_new("PixelData", "OB" if values.dtype.itemsize == 1 else "OW", pixels + b"\0" * (len(pixels) % 2))
    for keyword, value in fields.items():
        setattr(ds, keyword, value)
    return ds


def save(ds, path):
    ds.save_as(path, enforce_file_format=True)
    return Path(path)


def compressed(ds, syntax, frames, table=True):
    """The data set with frames that were encoded already."""
    ds.file_meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
    ds.PixelData = encapsulate(frames, has_bot=table)
    ds["PixelData"].VR = "OB"
    return ds


def item(**fields):
    found = Dataset()
    for keyword, value in fields.items():
        setattr(found, keyword, value)
    return found


def slices(folder, volume, step=2.5, number=1, **fields):
    """A series of oblique slices: ``volume`` (z, y, x) in files whose names say nothing of their order."""
    folder.mkdir(exist_ok=True)
    for z, values in enumerate(volume):
        ds = dataset(values, ImageOrientationPatient=OBLIQUE, PixelSpacing=[0.7, 0.5], SliceThickness=5.0)
        ds.ImagePositionPatient = [float(v) for v in np.array([10.0, -20.0, 30.0]) + NORMAL * step * z]
        ds.InstanceNumber = 100 - z
        for keyword, value in fields.items():
            setattr(ds, keyword, value(z) if callable(value) else value)
        save(ds, folder / f"IM{(z * 7 + number) % 97:04d}_{number}")
    return folder
