"""Report: all results as one static page that works offline (``python -m benchmark report``).

``page`` gathers, ``tables`` and ``facts`` say what stands where, ``series`` what is drawn, ``figures`` and ``svg`` draw it.
"""
