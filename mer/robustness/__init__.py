"""How a trained bundle stands noise, blur, occlusion, lost words and absent modalities."""
