# SPDX-License-Identifier: Apache-2.0
"""What the block must compute: the float module, the quantiser, and the integer model in the hardware's stages.

Only :mod:`.float_module`, :mod:`.integer`, and what swaps blocks of PyTorch networks (:mod:`.trace`, :mod:`.recognise`,
:mod:`.tile`) import torch.
"""
