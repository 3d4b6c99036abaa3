"""Memory of the optimizers: their states, and what a step makes and throws away."""

from wattmark.api.answers import ComponentName
from wattmark.api.training import Optimizer
from wattmark.estimate.interval import exact, spread
from wattmark.estimate.parts import Part
from wattmark.estimate.question import Question
from wattmark.models import Kind, Weights

SMALLEST_IN_BYTES = 4096  # elements from which bitsandbytes keeps a tensor's states in 8 bits
STATE_BLOCK = 256  # elements of a state that share a scale


def states(question: Question) -> Part:
    """What an optimizer keeps from step to step, made in the first one."""
    count, size = question.trained_elements, question.formats.weight
    match question.resolved.optimizer:
        case Optimizer.SGD:
            return Part(ComponentName.OPTIMIZER, exact(0), "SGD without momentum keeps no states")
        case Optimizer.SGD_MOMENTUM:
            return Part(ComponentName.OPTIMIZER, exact(count * size), f"momentum: {count} parameters x {size} B")
        case Optimizer.ADAFACTOR:
            elements = sum(weight.count * _factored(weight, question) for weight in question.fixed.trained)
            formula = f"Adafactor: {elements} rows and columns of matrices, elements of vectors x {size} B"
            return Part(ComponentName.OPTIMIZER, exact(elements * size), formula)
        case Optimizer.ADAMW_8BIT:
            tensors = [tensor for weight in question.fixed.trained for tensor in _tensors(weight, question)]
            formula = f"AdamW in 8 bits: 2 states x {count} parameters x 1 B, 4 B in small tensors, and scales"
            return Part(ComponentName.OPTIMIZER, exact(2 * sum(n * _byte_state(size) for size, n in tensors)), formula)
        case Optimizer.LION:
            return Part(ComponentName.OPTIMIZER, exact(4 * count), f"Lion: {count} parameters x 4 B")
        case Optimizer.ADAMW | Optimizer.ADAMW_FUSED | None:
            formula = f"AdamW: 2 states x {count} parameters x {size} B"
            return Part(ComponentName.OPTIMIZER, exact(2 * count * size), formula)


def unknown_state(question: Question) -> str | None:
    """Why the size of the states is not known, None where it is."""
    if question.resolved.optimizer is not Optimizer.ADAFACTOR:
        return None
    convolutions = (weight for weight in question.fixed.trained if weight.kind is Kind.CONVOLUTION)
    odd = next((weight.name for weight in convolutions if question.kernel(weight) is None), None)
    return odd and f"the closed form does not know the kernel of {odd}, which the size of Adafactor's state depends on"


def _factored(weight: Weights, question: Question) -> int:
    """Elements of Adafactor's state of one tensor and its bias.

    torch.optim.Adafactor keeps a mean for each row and each column of the last two dimensions, and one for each element
    of a vector. A convolution's last two dimensions are its kernel's, so that its state is larger than for a matrix.
    Where one matrix gives query, key and value its rows are counted three times: kilobytes in a whole model.
    """
    bias = weight.outputs if weight.bias else 0
    if weight.kind is Kind.CONVOLUTION:
        kernel = question.kernel(weight)
        assert kernel is not None  # the caller asked unknown_state
        height, width = kernel
        return weight.outputs * weight.inputs // (height * width) * (height + width) + bias
    if weight.kind is Kind.NORM or weight.inputs == 1:
        return weight.elements
    return weight.outputs + weight.inputs + bias


def _byte_state(elements: int) -> int:
    """Bytes of one state of bitsandbytes' AdamW8bit (optim.optimizer.Optimizer2State.init_state), of one tensor.

    A byte per element and four per block of 256; of a small tensor four bytes per element. The tables of both states,
    2 KiB in all, are not counted.
    """
    if elements < SMALLEST_IN_BYTES:
        return 4 * elements
    return elements + 4 * -(-elements // STATE_BLOCK)


def _tensors(weight: Weights, question: Question) -> tuple[tuple[int, int], ...]:
    """Elements and number of the tensors that weights are: matrices, and their biases; a layer's experts are one.

    Where one matrix gives query, key and value its three parts are counted apart, and so are their biases: that matters
    where a part is small and the whole is not.
    """
    together = question.fixed.experts_together(weight)
    size = weight.outputs * weight.inputs * together
    bias = ((weight.outputs, weight.count),) if weight.bias else ()
    return (size, weight.count // together), *bias


def step_temporaries(question: Question) -> Part:
    """What one step holds beside parameters, gradients and states.

    Read in torch.optim: AdamW's foreach form, its default on a GPU, takes the root of all second moments as one list;
    parameter by parameter, as on a CPU, it holds the root and its corrected version. Adafactor goes parameter by
    parameter on both and multiplies rows and columns out to the size of the parameter, while the last parameter's
    update is still there, and its new means. The others update in place, bitsandbytes' in one kernel for each tensor.
    """
    size = question.formats.weight
    every, largest = question.trained_elements * size, question.fixed.largest_tensor * size
    pair = question.fixed.largest_neighbours * size
    match question.resolved.optimizer:
        case Optimizer.SGD | Optimizer.SGD_MOMENTUM:
            return Part(ComponentName.WORKSPACE, exact(0), "SGD updates in place")
        case Optimizer.ADAMW_FUSED | Optimizer.ADAMW_8BIT | Optimizer.LION:
            return Part(ComponentName.WORKSPACE, exact(0), "a fused optimizer updates in place")
        case Optimizer.ADAFACTOR:
            means = max(_factored(weight, question) for weight in question.fixed.trained) * size
            formula = "Adafactor: updates of two tensors, one after the other, and one's new means"
            return Part(ComponentName.WORKSPACE, spread(pair + means, 0.5, 1), formula)
        case Optimizer.ADAMW | None:
            if question.on_gpu:
                return Part(ComponentName.WORKSPACE, exact(every), "AdamW (foreach): one list of all parameters")
            return Part(ComponentName.WORKSPACE, spread(2 * largest, 0.5, 1), "AdamW: two copies of the largest tensor")
