"""What the market asks: rent of a GPU hour with its range, and list prices of a model at its providers."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import pandas as pd

from slmkit.economics import cost
from slmkit.economics.architecture import architecture, architectures
from slmkit.economics.catalogue import api_prices, gpu, rents
from slmkit.economics.tables import tokens
from slmkit.economics.uncertainty import Range
from slmkit.errors import InputError


@dataclass(frozen=True)
class Rent:
    """USD per GPU hour: the quote in the middle of the catalogue's, the range of all, and where it stands."""

    usd: Range
    source: str


@functools.cache
def _quotes(card: str) -> pd.DataFrame:
    """On-demand rents of a GPU, cheapest first."""
    table = rents()
    quotes = table[(table["device"] == card) & table["provisioning"].astype(str).str.match(r"on-demand($| \()")]
    return quotes[quotes["provider"] != "market-range"].sort_values("usd_per_gpu_hour")


def rent(name: str, usd_per_gpu_hour: float = 0.0) -> Rent:
    """Rent of a GPU: the price given, with the catalogue's spread around it; 0 takes the catalogue's middle quote.

    Spot prices, capacity blocks and ranges of third parties are left out. InputError for a price below 0, and for a
    GPU without a quote where none is given.
    """
    card = gpu(name)
    if not usd_per_gpu_hour >= 0:
        raise InputError(
            f"usd_per_gpu_hour: expected a price above 0, or 0 for the catalogue's, found {usd_per_gpu_hour}"
        )
    quotes = _quotes(card.name)
    if quotes.empty and not usd_per_gpu_hour:
        raise InputError(f"{card.name}: the catalogue has no rent for it; give its price a GPU hour")
    if quotes.empty:
        return Rent(Range(usd_per_gpu_hour, usd_per_gpu_hour, usd_per_gpu_hour, says="rent"), "price given by the user")
    middle = quotes.iloc[(len(quotes) - 1) // 2]
    low, high = float(quotes["usd_per_gpu_hour"].iloc[0]), float(quotes["usd_per_gpu_hour"].iloc[-1])
    usd, source = float(middle["usd_per_gpu_hour"]), f"{middle['provider']}, {middle['product']}, {middle['as_of']}"
    if usd_per_gpu_hour:
        usd, source = float(usd_per_gpu_hour), f"price given by the user (catalogue {low:g} to {high:g})"
    return Rent(Range(min(low, usd), usd, max(high, usd), says="rent, USD a GPU hour"), source)


def served_by_api(model: str) -> pd.DataFrame:
    """API prices of a model of the catalogue, whatever its provider calls it, one row a provider (its cheapest).

    None for a user's own configuration, whatever its folder is called.
    """
    name, prices = architecture(model).name, api_prices()
    # Llama 3, 3.1 and 3.3 of one size have one shape, and providers write the version in many ways.
    wanted = {word for word in tokens(name) if not (name.startswith("Llama-3") and word.startswith("3."))}
    blend = cost.blended(prices["usd_per_1m_input"], prices["usd_per_1m_output"])
    rows = prices.assign(blended=blend)
    known = name in set(architectures()["name"])
    matches = [known and wanted <= set(_api_words(text)) for text in rows["model"].astype(str)]
    return rows[matches].sort_values("blended").drop_duplicates("provider").reset_index(drop=True)


def _api_words(name: str) -> list[str]:
    """Words of a provider's name for a model: `meta.llama3-1-8b-instruct-v1:0` gives llama, 8b among others."""
    words = tokens(name.rsplit("/", 1)[-1])
    llama = any(word.startswith(("llama3", "llama-3")) or word == "llama" or "llama" in word for word in words)
    vision = {"vl", "vision", "guard", "coder"} & set(words)
    return [] if vision else [*words, *(["llama"] if llama and not {"4", "llama4"} & set(words) else [])]
