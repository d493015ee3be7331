"""The DCGAN's convolutions, faster on a CPU: the same sums as PyTorch's own, written as matrix products.

Most convolutions here have a 4 x 4 kernel of stride 2, so 16 C inputs make one output. With matrix units (AMX) oneDNN's
bfloat16 kernels for such convolutions, above all their weight gradients, run several times slower than its matrix
product of the same size. Modules and weights are PyTorch's; elsewhere, and in float32, its own kernels compute.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class Conv2d(nn.Conv2d):
    """nn.Conv2d with a 4 x 4 kernel, and padding 1 where the stride is 2."""

    def forward(self, input: Tensor) -> Tensor:
        """As nn.Conv2d."""
        if not _as_products(self, input):
            return super().forward(input)
        output = _Down.apply(input.bfloat16(), self.weight.bfloat16())
        return output if self.bias is None else output + self.bias[:, None, None].bfloat16()


class ConvTranspose2d(nn.ConvTranspose2d):
    """nn.ConvTranspose2d with a 4 x 4 kernel, and padding 1 where the stride is 2."""

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        """As nn.ConvTranspose2d."""
        if not _as_products(self, input):
            return super().forward(input, output_size)
        output = _Up.apply(input.bfloat16(), self.weight.bfloat16())
        return output if self.bias is None else output + self.bias[:, None, None].bfloat16()


def has_bf16(device: torch.device) -> bool:
    """Whether the hardware computes in bfloat16 faster than in float32."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type != "cpu":
        return False  # not tried
    return cpu_has("amx_bf16", "avx512_bf16", "bf16")


def cpu_has(*names: str) -> bool:
    """Whether the CPU has any of these capabilities, as torch.cpu.get_capabilities names them."""
    known: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()  # older releases of PyTorch do not say
    return any(known.get(name) for name in names)


def _as_products(layer: nn.Conv2d | nn.ConvTranspose2d, input: Tensor) -> bool:
    on_cpu = input.device.type == "cpu" and torch.is_autocast_enabled("cpu")
    return on_cpu and layer.stride == (2, 2) and cpu_has("amx_bf16")


class _Down(torch.autograd.Function):
    """Stride-2 convolution: images [N, C, H, W], weight [A, C, 4, 4] -> [N, A, H/2, W/2]."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor) -> Tensor:
        n, _, h, w = images.shape
        patches = gather(images)
        ctx.save_for_backward(patches, weight)
        return _product(patches, weight, torch.Size([n, len(weight), h // 2, w // 2]))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        patches, weight = ctx.saved_tensors
        by_images = spread(gradient, weight) if ctx.needs_input_grad[0] else None
        by_weight = _by_weight(gradient, patches, weight) if ctx.needs_input_grad[1] else None
        return by_images, by_weight


class _Up(torch.autograd.Function):
    """Its transpose: images [N, A, H, W], weight [A, C, 4, 4] -> [N, C, 2H, 2W]."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(images, weight)
        return spread(images, weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        images, weight = ctx.saved_tensors
        patches = gather(gradient)
        by_images = _product(patches, weight, images.shape) if ctx.needs_input_grad[0] else None
        by_weight = _by_weight(images, patches, weight) if ctx.needs_input_grad[1] else None
        return by_images, by_weight


def gather(images: Tensor) -> Tensor:
    """Images [N, C, H, W] -> the 4 x 4 patch under each output of a stride-2 convolution, [N * H/2 * W/2, 16 C]."""
    n, c, h, w = images.shape
    padded = _padded(images)
    image, row, column, _ = padded.stride()
    patches = padded.as_strided((n, h // 2, w // 2, 4, 4 * c), (image, 2 * row, 2 * column, row, 1))
    return patches.reshape(-1, 16 * c)


def spread(images: Tensor, weight: Tensor) -> Tensor:
    """The adjoint convolution, images [N, A, H, W] and weight [A, C, 4, 4] -> [N, C, 2H, 2W].

    In the plane padded by one pixel, each block of 2 x 2 outputs depends on one window of 2 x 2 inputs, by all 16
    kernel values: one matrix product makes all blocks.
    """
    n, a, h, w = images.shape
    c = weight.shape[1]
    padded = _padded(images)
    image, row, column, _ = padded.stride()
    windows = padded.as_strided((n, h + 1, w + 1, 2, 2 * a), (image, row, column, row, 1)).reshape(-1, 4 * a)
    # Kernel row 2 (1 - p) + r leads from row p of a window to row r of its block; columns likewise.
    kernel = weight.reshape(a, c, 2, 2, 2, 2).flip(2, 4).permute(2, 4, 0, 3, 5, 1).reshape(4 * a, 4 * c)
    blocks = (windows @ kernel).view(n, h + 1, w + 1, 2, 2, c)
    plane = blocks.transpose(2, 3).reshape(n, 2 * h + 2, 2 * w + 2, c)  # its border is no output
    return plane[:, 1:-1, 1:-1].contiguous().permute(0, 3, 1, 2)


def _padded(images: Tensor) -> Tensor:
    """Images channels last with a border of zeros, [N, C, H, W] -> [N, H+2, W+2, C]."""
    n, c, h, w = images.shape
    padded = images.new_zeros(n, h + 2, w + 2, c)
    padded[:, 1:-1, 1:-1] = images.permute(0, 2, 3, 1)
    return padded


def _product(patches: Tensor, weight: Tensor, shape: torch.Size) -> Tensor:
    """The stride-2 convolution of the images that `gather` made the patches of, in the output's shape [N, A, h, w]."""
    n, a, h, w = shape
    rows = weight.permute(0, 2, 3, 1).flatten(1)  # in the order of `gather`
    return (patches @ rows.T).view(n, h, w, a).permute(0, 3, 1, 2)


def _by_weight(outputs: Tensor, patches: Tensor, weight: Tensor) -> Tensor:
    """The weight's gradient [A, C, 4, 4], from gradients or images [N, A, h, w] and the patches over each pixel."""
    a, c, h, w = weight.shape
    rows = outputs.permute(0, 2, 3, 1).reshape(len(patches), a).T @ patches
    return rows.view(a, h, w, c).permute(0, 3, 1, 2)
