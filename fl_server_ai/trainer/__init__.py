from fl_server_ai.trainer.model_trainer import ModelTrainer
from fl_server_ai.trainer.tasks import process_trainer_task
from fl_server_core.options import TrainerOptions

__all__ = ["ModelTrainer", "TrainerOptions", "process_trainer_task"]
