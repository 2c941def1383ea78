#include "tracee.h"
const struct command stop_commands[] = {{0}};
const struct command outside_commands[] = {{0}};
const struct command state_commands[] = {{0}};
