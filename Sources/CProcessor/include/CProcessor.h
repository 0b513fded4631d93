#pragma once

// Nothing to call: the library's only function runs by itself before main.
