"""Faults that no test noticed once: each has a test now."""

from __future__ import annotations

from mutants.mutation import Mutation

STEPS = ("tests/training/test_training_step.py",)
AVERAGES, VALIDATION = ("tests/training/test_averages.py",), ("tests/training/test_validation.py",)
FROZEN = ("tests/training/test_hific_training.py", "-k", "frozen_parts")
MODULE, OBJECTIVE = "hific/training/hific_module.py", "hific/training/objectives.py"
ADVERSARY, OPTIMIZATION = "hific/training/adversary.py", "hific/training/optimization.py"
COMPRESSNET = "hific/training/compressnet_module.py"

REPORTED = (
    Mutation(
        "the rate is never learned",
        MODULE,
        'terms["rate"] = rate_weight * output.estimated_bpp_noisy',
        'terms["rate"] = rate_weight * output.estimated_bpp_noisy.detach()',
        STEPS,
    ),
    Mutation("MSE times 255", OBJECTIVE, "self.mse * 255.0**2 * error", "self.mse * 255.0 * error", STEPS),
    Mutation(
        "perceptual weight dropped",
        OBJECTIVE,
        'terms["perceptual"] = self.weights.perceptual * self._perceptual(',
        'terms["perceptual"] = self._perceptual(',
        STEPS,
    ),
    Mutation(
        "LPIPS fed [0, 1]",
        OBJECTIVE,
        "self._perceptual(2 * x_hat - 1, 2 * x - 1, share)",
        "self._perceptual(x_hat, x, share)",
        STEPS,
    ),
    Mutation(
        "view shift dropped",
        OBJECTIVE,
        "x_hat, x = shifted_crop((reconstruction, image), self.view_shift, generator)",
        "x_hat, x = shifted_crop((reconstruction, image), 0, generator)",
        STEPS,
    ),
    Mutation(
        "weight beta dropped",
        ADVERSARY,
        'terms["adversarial"] = self.weight * generator_loss',
        'terms["adversarial"] = generator_loss',
        STEPS,
    ),
    Mutation(
        "latents of other images in D",
        ADVERSARY,
        "        condition = None if latent_hat is None else latent_hat.detach()\n        real, _",
        "        condition = None if latent_hat is None else latent_hat.detach().flip(0)\n        real, _",
        STEPS,
    ),
    Mutation(
        "latents of other images in the adversary",
        ADVERSARY,
        "        condition = None if latent_hat is None else latent_hat.detach()\n        with self._frozen()",
        "        condition = None if latent_hat is None else latent_hat.detach().flip(0)\n        with self._frozen()",
        STEPS,
    ),
    Mutation(
        "D learns on the generator's own images",
        MODULE,
        "return image[0::2], image[1::2]",
        "return image[0::2], image[0::2]",
        STEPS,
    ),
    Mutation(
        "D's step sees [0, 1]",
        MODULE,
        "self.step_adversary(2 * image - 1, 2 * reconstruction - 1, latent_hat)",
        "self.step_adversary(image, reconstruction, latent_hat)",
        STEPS,
    ),
    Mutation(
        "D's step sees flipped latents",
        MODULE,
        "self.step_adversary(2 * image - 1, 2 * reconstruction - 1, latent_hat)",
        "self.step_adversary(2 * image - 1, 2 * reconstruction - 1, latent_hat.flip(0))",
        STEPS,
    ),
    Mutation(
        "decay of the average swapped",
        OPTIMIZATION,
        "mine.lerp_(its, 1 - self.decay)",
        "mine.lerp_(its, self.decay)",
        AVERAGES,
    ),
    Mutation(
        "average never updated",
        MODULE,
        "            self.ema.update(self.model.synthesis)",
        "            pass",
        AVERAGES,
    ),
    Mutation(
        "average not restarted at stage 2",
        MODULE,
        "            self.ema.restart(self.model.synthesis)",
        "            pass",
        AVERAGES,
    ),
    Mutation(
        "frozen parts not in evaluation mode", MODULE, "                part.eval()", "                pass", FROZEN
    ),
    Mutation(
        "clipping off",
        OPTIMIZATION,
        "clip_grad_norm_(parameters, self.gradient_clip)",
        "clip_grad_norm_(parameters, math.inf)",
        STEPS,
    ),
    Mutation(
        "validation PSNR doubled",
        "hific/training/coding_module.py",
        "psnr = -10 * torch",
        "psnr = -20 * torch",
        VALIDATION,
    ),
    Mutation(
        "validation pixels unrounded",
        "hific/training/coding_module.py",
        "(image.clamp(0, 1) * 255).round() / 255",
        "image.clamp(0, 1)",
        VALIDATION,
    ),
    Mutation(
        "validation bpp over the padded size",
        MODULE,
        "(batch.shape[0] * batch.shape[-2] * batch.shape[-1])",
        "(batch.shape[0] * padded.shape[-2] * padded.shape[-1])",
        VALIDATION,
    ),
    Mutation(
        "schedule never applied",
        COMPRESSNET,
        "self.optimization.set_learning_rates(self.raw_optimizers(), self.progress)",
        "pass",
        STEPS,
    ),
    Mutation(
        "switches never annealed",
        COMPRESSNET,
        "return max(0.0, 1.0 - self.progress / self.true_switches_until) if",
        "return 1.0 if",
        STEPS,
    ),
    Mutation(
        "tied mask inverted",
        "hific/losses/auxiliary.py",
        "return masked_mean(errors, ~tied)",
        "return masked_mean(errors, tied)",
        ("tests/losses/test_losses.py",),
    ),
    Mutation(
        "tiles are padded symmetrically",
        "hific/codecs/tiling.py",
        'mode="edge"',
        'mode="symmetric"',
        ("tests/codecs/test_hific.py", "tests/codecs/test_learned_codec.py"),
    ),
    Mutation(
        "PSNR of the mean MSE",
        "hific/evaluation/means.py",
        "        return Mean(_mean(values), len(values), reasons)",
        "        if name == 'psnr' and values:\n"
        "            import math\n\n"
        "            mean = -10 * math.log10(sum(10 ** (-one / 10) for one in values) / len(values))\n"
        "            return Mean(mean, len(values), reasons)\n"
        "        return Mean(_mean(values), len(values), reasons)",
        ("tests/evaluation/test_tables.py",),
    ),
    Mutation(
        "bpp of totals",
        "hific/evaluation/tables.py",
        "number_cell(summary.mean(lambda row: row.bpp), 4)",
        "number_cell(8 * sum(r.num_bytes for r in summary.rows) / sum(r.num_pixels for r in summary.rows), 4)",
        ("tests/evaluation/test_tables.py",),
    ),
    Mutation(
        "EXIF 5 wrong",
        "hific/io/read_image.py",
        "5: Image.Transpose.TRANSPOSE,",
        "5: Image.Transpose.TRANSVERSE,",
        ("tests/io",),
    ),
    Mutation(
        "any profile named RGB taken for sRGB",
        "hific/io/read_image.py",
        "<= _SRGB_TOLERANCE",
        ">= 0",
        ("tests/io",),
    ),
    Mutation(
        "16 to 8 bits loses the lowest bit",
        "hific/io/read_image.py",
        ">> (4 if twelve_bits else 8))",
        ">> (4 if twelve_bits else 9) << 1)",
        ("tests/io",),
    ),
    Mutation(
        "ties half up",
        "hific/ops/quantize.py",
        "torch.nan_to_num(latent.detach().float()).round()",
        "torch.nan_to_num(latent.detach().float()).add(0.5).floor()",
        ("tests/ops", "tests/models/test_compressnet.py"),
    ),
    Mutation(
        "mirror tied to the crop's position",
        "hific/data/transforms.py",
        "self.flip and mirror < 0.5",
        "self.flip and left < 0.5",
        ("tests/data/test_transforms.py", "tests/data/test_datasets.py"),
    ),
    Mutation(
        "memory is not kept",
        "hific/codecs/memory.py",
        'if not sys.platform.startswith("linux"):',
        "if True:",
        ("tests/ops",),
    ),
    Mutation(
        "a conversion writes by force",
        "hific/cli/convert.py",
        "force=options.force)",
        "force=True)",
        ("tests/test_cli.py",),
    ),
)
