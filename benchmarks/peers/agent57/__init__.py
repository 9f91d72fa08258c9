"""Agent57 on MountainCar, ours and SRL's: each a module with ``train(settings, watch)``."""
