"""Feltpost's tools for technicians and developers: simulated boards, and the demo made of them."""
