#include "interpreter/exchange.h"

bool gcctl_exchange_make(gcctl_exchange *exchange, PyObject *builtin, PyCFunction ours, int flags) {
    if (!PyCFunction_CheckExact(builtin) || PyCFunction_GET_FLAGS(builtin) != flags) {
        return false;
    }
    if (!exchange->made) {
        exchange->method = ((PyCFunctionObject *)builtin)->m_ml;
        exchange->original = exchange->method->ml_meth;
        exchange->ours = ours;
        exchange->method->ml_meth = ours;
        exchange->made = true;
    }
    return true;
}

bool gcctl_exchange_undo(gcctl_exchange *exchange) {
    if (exchange->made && exchange->method->ml_meth == exchange->ours) {
        exchange->method->ml_meth = exchange->original;
        exchange->made = false;
    }
    return !exchange->made;
}
