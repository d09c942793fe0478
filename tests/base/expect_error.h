// EXPECT_ERROR(expression, code, part): the expression throws Error with this code and `part` in its message.
#pragma once
#include <gtest/gtest.h>

#include <string>

#include "octavo/error.h"

#define EXPECT_ERROR(expression, expected_code, part)                                             \
  do {                                                                                            \
    try {                                                                                         \
      static_cast<void>(expression);                                                              \
      ADD_FAILURE() << #expression " did not throw";                                              \
    } catch (const octavo::Error& error) {                                                        \
      EXPECT_EQ(static_cast<int>(error.code()), static_cast<int>(expected_code)) << error.what(); \
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos)                          \
          << "message: " << error.what() << "\nlacks:   " << (part);                              \
    }                                                                                             \
  } while (0)
