#include "common/base/plant.h"

#ifdef FT_PLANTED
enum ft_plant ft_planted = FT_PLANT_NOTHING;
#else
typedef int ft_plant_unused; /* a file may not be empty */
#endif
