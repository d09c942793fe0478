// Json is part of the public interface; inside, it belongs to base.
#pragma once
#include "octavo/json.h"
