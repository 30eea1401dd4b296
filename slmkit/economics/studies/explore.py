"""The explorer: cost ratio over latency limit and load for any pair, GPU, price and shape of call.

Interactive where a person runs the notebook and ipywidgets is there; one static figure of the parameters' pair under
the runner. No verdict depends on it.
"""

from __future__ import annotations

import importlib.util
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from slmkit.economics.architecture import architectures
from slmkit.economics.catalogue import devices
from slmkit.economics.compare import Setting, compare
from slmkit.economics.market import rent
from slmkit.economics.studies import findings, serving
from slmkit.errors import InputError
from slmkit.figures import economics as draw

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


def picture(slm: str, llm: str, setting: Setting) -> tuple[Figure, pd.DataFrame]:
    """The map of a pair in a setting with its finding, and its table."""
    table = serving.ratio_map(slm, llm, setting)
    price = rent(setting.gpu, setting.usd_per_gpu_hour)
    error = table["error_median"].max()
    said = (
        f"{llm} over {slm} on {setting.gpu}, {setting.input_tokens:,} in and {setting.output_tokens:,} out; "
        f"${price.usd.mid:.2f} a GPU hour, same for both; prediction ±{error:.0%} (median) each"
    )
    return draw.ratio_map(table, findings.by_map(table), said), table


def interactive() -> bool:
    """Whether a person can move sliders here: not under the runner, and only with ipywidgets."""
    return not os.environ.get("SLMKIT_RUN") and importlib.util.find_spec("ipywidgets") is not None


def show(run: Any, slm: str, llm: str, setting: Setting) -> Any:
    """The explorer of a notebook run: widgets, or the static figure `figure-explore` with its table."""
    if not interactive():
        figure, table = picture(slm, llm, setting)
        caption = "The explorer, standing still: open the notebook in JupyterLab to move it."
        return run.figure("figure-explore", figure, table, caption)
    return widgets(slm, llm, setting)


def widgets(slm: str, llm: str, setting: Setting) -> Any:
    """Controls over models, GPU, price, tokens and utilization, with the map and the offers below."""
    import ipywidgets
    from IPython.display import display

    models = sorted(architectures()["name"])
    cards = [name for name, card in devices().items() if card.kind in ("datacenter", "consumer")]

    def draw_again(slm: str, llm: str, gpu: str, usd: float, tokens_in: int, tokens_out: int, load: float) -> None:
        try:
            now = replace(
                setting,
                gpu=gpu,
                usd_per_gpu_hour=usd,
                input_tokens=tokens_in,
                output_tokens=tokens_out,
                utilization=load,
            )
            display(picture(slm, llm, now)[0])
            found = compare(slm, llm, now)
            display(
                found["ratio"],
                [f"{row['offer']}: ${row['usd_per_1k_calls']:.3g} a thousand calls" for row in found["offers"]],
            )
        except InputError as error:
            display(str(error))

    named = {"slm": _nearest(slm, models), "llm": _nearest(llm, models)}
    return ipywidgets.interact_manual(
        draw_again,
        slm=ipywidgets.Dropdown(options=models, value=named["slm"]),
        llm=ipywidgets.Dropdown(options=models, value=named["llm"]),
        gpu=ipywidgets.Dropdown(options=cards, value=_nearest(setting.gpu, cards)),
        usd=ipywidgets.FloatText(value=setting.usd_per_gpu_hour, description="USD/h (0: list)"),
        tokens_in=ipywidgets.IntText(value=setting.input_tokens),
        tokens_out=ipywidgets.IntText(value=setting.output_tokens),
        load=ipywidgets.FloatSlider(value=setting.utilization, min=0.01, max=1.0, step=0.01),
    )


def _nearest(name: str, options: list[str]) -> str:
    """The option of that name, whatever its case, or the first that starts so."""
    lower = name.lower()
    return next((option for option in options if option.lower() == lower),
                next((option for option in options if option.lower().startswith(lower)), options[0]))  # fmt: skip
