"""The page's look: one theme over Gradio's own, with fonts that every system has, so that nothing is fetched."""

from pathlib import Path

import gradio as gr
from gradio.themes import colors, sizes

STYLE = Path(__file__).with_name("style.css")
FONTS = (
    "system-ui",
    "-apple-system",
    "Segoe UI",
    "Roboto",
    "PingFang SC",
    "Microsoft YaHei",
    "Noto Sans CJK SC",
    "WenQuanYi Micro Hei",
    "sans-serif",
)
MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "DejaVu Sans Mono", "monospace")


def theme() -> gr.themes.Base:
    """Return the theme: warm greys, indigo for what can be pressed, in light and in dark."""
    base = gr.themes.Base(
        primary_hue=colors.indigo,
        secondary_hue=colors.indigo,
        neutral_hue=colors.stone,
        radius_size=sizes.radius_lg,
        font=FONTS,
        font_mono=MONO,
    )
    return base.set(
        body_background_fill="#faf8f5",
        body_background_fill_dark="#171513",
        background_fill_primary="#ffffff",
        background_fill_primary_dark="#211e1b",
        background_fill_secondary="#f5f2ee",
        background_fill_secondary_dark="#2a2622",
        block_background_fill="#ffffff",
        block_background_fill_dark="#211e1b",
        block_border_width="1px",
        block_border_color="#e7e2db",
        block_border_color_dark="#3a352f",
        border_color_primary="#e7e2db",
        border_color_primary_dark="#3a352f",
        block_shadow="0 1px 2px rgba(40, 30, 20, 0.04)",
        block_label_background_fill="transparent",
        block_label_background_fill_dark="transparent",
        block_label_border_width="0px",
        block_label_text_color="*neutral_500",
        block_label_text_color_dark="*neutral_400",
        block_title_text_weight="600",
        input_background_fill="#ffffff",
        input_background_fill_dark="#2a2622",
        input_border_color="#ddd6cd",
        input_border_color_dark="#453f38",
        button_primary_background_fill="#4338ca",
        button_primary_background_fill_hover="#3730a3",
        button_primary_background_fill_dark="#6366f1",
        button_primary_background_fill_hover_dark="#818cf8",
        button_primary_text_color="#ffffff",
        button_secondary_background_fill="#ffffff",
        button_secondary_background_fill_hover="#f5f2ee",
        button_secondary_background_fill_dark="#2a2622",
        button_secondary_background_fill_hover_dark="#38332d",
        button_secondary_border_color="#ddd6cd",
        button_secondary_border_color_dark="#453f38",
        button_border_width="1px",
        layout_gap="16px",
    )
