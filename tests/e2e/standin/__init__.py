"""A **stand-in** for Colab and VS Code, which cannot be run here: their rules, as far as they are known, made real.

A real kernel, a real browser, Jupyter's own widget manager (@jupyter-widgets/html-manager) and anywidget's own front
end, with nothing else of Colab or VS Code. It shows that kling_widget keeps to the rules in `rules.py`; whether those
are all the rules that the real hosts have, it cannot show.
"""
