// Progress and Notes are part of the public interface; inside, they belong to base.
#pragma once
#include "octavo/progress.h"
