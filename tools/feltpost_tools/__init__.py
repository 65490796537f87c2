"""Feltpost's tools for technicians and developers: simulated boards, the demo, and what flashes nodes."""
