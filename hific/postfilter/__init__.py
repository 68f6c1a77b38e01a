"""Correction of decoded pixels, tile by tile where a flag says so. numpy only; XGBoost where its trees correct."""
